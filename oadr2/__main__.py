"""``python -m oadr2``: the same as the command ``oadr2``."""

import sys

from oadr2.cli import main

if __name__ == "__main__":
    sys.exit(main())
