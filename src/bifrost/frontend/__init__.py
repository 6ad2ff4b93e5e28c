"""What people touch: `node`, `npm`, the magics and the command line."""
