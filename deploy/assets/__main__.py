"""`python -m deploy.assets` fetches the front-end packages unless they are here.

`--optional` makes a failure a notice. `--from FOLDER` copies from packages somebody else installed.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from deploy import assets


def main(arguments: Sequence[str] | None = None) -> int:
    """Do it, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m deploy.assets", description=__doc__)
    parser.add_argument("--optional", action="store_true", help="pages work without: exit with 0 all the same")
    parser.add_argument("--from", dest="packages", type=Path, metavar="FOLDER", help="installed packages to copy from")
    wanted = parser.parse_args(arguments)
    if wanted.packages:
        assets.place(wanted.packages)
        return 0
    if assets.up_to_date():
        return 0
    try:
        assets.fetch()
    except RuntimeError as reason:
        if wanted.optional:
            print("No front-end packages (is there a network?): pages work without, with a code to read as captcha.")
            return 0
        print(reason, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
