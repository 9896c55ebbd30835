"""The browser for the tests that use one.

`python -m deploy.browser` makes sure there is one; it prints nothing when there is.
"""

# Starting programs is what this module is for.
# ruff: noqa: S603

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_PACKAGES = ("chromium", "fonts-noto-core", "fonts-noto-color-emoji")


def chromium() -> Path:
    """Find Chromium or Chrome on the PATH, else the one Playwright installed.

    Raises RuntimeError when there is none.
    """
    for name in NAMES:
        if found := shutil.which(name):
            return Path(found)
    if (bundled := _playwrights()) and bundled.exists():
        return bundled
    raise RuntimeError("no Chromium; `python -m deploy.browser` installs one")


def install() -> None:
    """Install Chromium: as a package for root on Debian and its kin, else with Playwright.

    Raises RuntimeError.
    """
    if shutil.which("apt-get") and os.geteuid() == 0:
        packages = ["apt-get", "install", "-qy", "--no-install-recommends", *_PACKAGES]
        commands = [["apt-get", "update", "-q"], packages]
    else:
        commands = [[sys.executable, "-m", "playwright", "install", "chromium"]]
    for command in commands:
        if subprocess.run(command, check=False).returncode:
            raise RuntimeError(f"Chromium cannot be installed: `{' '.join(command)}` failed")


def _playwrights() -> Path | None:
    try:
        from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only tests need it
    except ModuleNotFoundError:
        return None
    with sync_playwright() as playwright:
        return Path(playwright.chromium.executable_path)


def main() -> int:
    """Install Chromium unless it is here. Return the exit code."""
    try:
        chromium()
    except RuntimeError:
        try:
            install()
            print(f"installed {chromium()}")
        except RuntimeError as reason:
            print(reason, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
