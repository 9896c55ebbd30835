"""A service with wrong settings does not start, and says what is wrong without showing secrets."""

import pytest

from services.surveys.settings import Settings

GOOD = {
    "DATABASE_URL": "postgresql://user:hunter2@db:5432/surveys",
    "KAFKA_BOOTSTRAP_SERVERS": "kafka:9092",
    "PUBLIC_URL": "https://surveys.example/",
    "SECRET_KEY": "s" * 32,
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Set what a service needs and nothing else."""
    for name in ("HOST", "PORT", "LOG_LEVEL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_good_settings_are_read_from_the_environment() -> None:
    """The database's driver is our business, not the operator's; a slash too many does no harm."""
    settings = Settings.from_environment()

    assert settings.database_url == "postgresql+asyncpg://user:hunter2@db:5432/surveys"
    assert settings.public_url == "https://surveys.example"
    assert "s" * 32 not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("DATABASE_URL", "mysql://user:hunter2@db/x", "DATABASE_URL: must look like postgresql://"),
        ("DATABASE_URL", "hunter2", "DATABASE_URL: must look like postgresql://"),
        ("PUBLIC_URL", "surveys.example", "PUBLIC_URL: must start with http"),
        ("SECRET_KEY", "hunter2", "SECRET_KEY: must have 32 characters or more"),
        ("PORT", "hunter2", "PORT: Input should be a valid integer"),
        ("KAFKA_BOOTSTRAP_SERVERS", None, "KAFKA_BOOTSTRAP_SERVERS: Field required"),
    ],
)
def test_a_wrong_setting_ends_the_start_with_a_line_that_names_it(
    environment: pytest.MonkeyPatch, name: str, value: str | None, told: str
) -> None:
    """One line for each, and never the value: it may be a password."""
    if value is None:
        environment.delenv(name)
    else:
        environment.setenv(name, value)

    with pytest.raises(SystemExit) as ended:
        Settings.from_environment()

    assert told in str(ended.value)
    assert "hunter2" not in str(ended.value)
