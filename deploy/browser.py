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
    """Install Chromium: as a package for root on Debian and its kin, else, or where there is none, with Playwright.

    Raises RuntimeError.
    """
    playwright = [sys.executable, "-m", "playwright", "install", "chromium"]
    ways = [[playwright]]
    if shutil.which("apt-get") and os.geteuid() == 0:
        packages = ["apt-get", "install", "-qy", "--no-install-recommends", *_PACKAGES]
        ways = [[["apt-get", "update", "-q"], packages], [[*playwright, "--with-deps"]]]
    if not any(all(_succeeds(command) for command in way) for way in ways):
        raise RuntimeError("Chromium cannot be installed; put one on the PATH")


def _succeeds(command: list[str]) -> bool:
    return subprocess.run(command, check=False).returncode == 0


def _playwrights() -> Path | None:
    """Ask Playwright where its Chromium would be, in another process: it refuses to work in an event loop."""
    question = (
        "from playwright.sync_api import sync_playwright\n"
        "with sync_playwright() as playwright: print(playwright.chromium.executable_path)"
    )
    answer = subprocess.run([sys.executable, "-c", question], capture_output=True, text=True, check=False)
    return Path(answer.stdout.strip()) if answer.returncode == 0 else None


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
