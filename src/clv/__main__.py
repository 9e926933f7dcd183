"""``python -m clv`` is the command ``clv``."""

from __future__ import annotations

from clv.cli import main

if __name__ == "__main__":
    main()
