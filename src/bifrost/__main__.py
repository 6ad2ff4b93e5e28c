"""`python -m bifrost`, for when the `bifrost` command is not on the PATH."""

import sys

from .frontend.cli import main

if __name__ == "__main__":
    sys.exit(main())
