"""What makes the protocol live: the Node.js process, its pipes, shared memory and calls."""
