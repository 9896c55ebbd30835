"""The front-end packages come whole or not at all, from whatever registry the machine uses."""

import json
from pathlib import Path

import pytest

from deploy import assets
from deploy.assets.__main__ import main


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty checkout on a machine that reaches no registry."""
    monkeypatch.setattr(assets, "CHECKOUT", tmp_path)
    monkeypatch.setattr(assets, "CACHE", tmp_path / ".cache" / "assets")
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9/")
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm"))
    return tmp_path


def test_the_lock_file_has_every_hash_and_names_no_registry() -> None:
    """What is fetched is what was tested, from whatever mirror."""
    packages = json.loads(assets.LOCK.read_text())["packages"]

    for name, package in packages.items():
        assert "resolved" not in package, name
        assert name == "" or package["integrity"].startswith("sha512-")


def test_without_a_network_set_up_fails_unless_told_it_may(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The sandbox works without the packages; tests of them do not."""
    assert main([]) == 1
    assert "npm cannot fetch" in capsys.readouterr().err

    assert main(["--optional"]) == 0
    assert "pages work without" in capsys.readouterr().out
    assert not assets.up_to_date()


def test_pages_get_their_files_from_packages_installed_elsewhere(checkout: Path) -> None:
    """The container image fetches them in a stage that has npm and no Python."""
    for file in assets.PLACES:
        (checkout / "installed" / file).parent.mkdir(parents=True, exist_ok=True)
        (checkout / "installed" / file).write_text(file)

    assert main(["--from", str(checkout / "installed")]) == 0

    for file, place in assets.PLACES.items():
        assert (checkout / place).read_text() == file


def test_nothing_is_fetched_twice_until_the_lock_or_a_file_changes(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every start of the sandbox asks; only the first waits."""
    for place in assets.PLACES.values():
        (checkout / place).parent.mkdir(parents=True, exist_ok=True)
        (checkout / place).touch()
    assets.CACHE.mkdir(parents=True)
    (assets.CACHE / "stamp").write_text(assets._lock_hash())

    assert assets.up_to_date()
    assert main([]) == 0

    next(checkout.glob("**/altcha.css")).unlink()
    assert not assets.up_to_date()


def test_the_accessibility_checker_says_how_to_get_it(checkout: Path) -> None:
    """A browser test without it fails with the way out."""
    with pytest.raises(RuntimeError, match=r"python -m deploy\.assets"):
        assets.axe_source()
