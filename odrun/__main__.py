"""`python -m odrun` is the console script `odrun`."""

from __future__ import annotations

from odrun.cli import main

if __name__ == "__main__":
    main()
