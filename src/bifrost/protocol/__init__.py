"""What both sides agree on: messages, frames and values. Pure: no I/O, no threads, no clock."""
