"""Where the projection goes, and how a bad database URL is refused without being shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from libs.runtime.settings import SettingsError, load_settings
from services.ledger.settings import Settings


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "BULKHEAD_DATABASE_URL_FILE", "BULKHEAD_HOME"):
        monkeypatch.delenv(name, raising=False)


def shown(settings: Settings) -> str:
    return settings.sql_url().render_as_string(hide_password=False)


def test_without_a_url_it_is_sqlite_in_the_state_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fresh machine needs no database server."""
    monkeypatch.setenv("BULKHEAD_HOME", "state")
    assert shown(load_settings(Settings)) == "sqlite:///state/ledger.db"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg", "postgresql+psycopg2"])
def test_every_spelling_of_postgres_uses_our_driver(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    """Hosting platforms give `postgres://`; SQLAlchemy wants the driver named."""
    monkeypatch.setenv("DATABASE_URL", f"{scheme}://u@db:5432/book?sslmode=require")
    assert shown(load_settings(Settings)) == "postgresql+psycopg://u@db:5432/book?sslmode=require"


def test_a_password_comes_from_a_file_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In a variable it is refused, unseen, with the name of the variable to use; in a file it is taken as it is."""
    url = "postgresql://u:pa%40ss-topsecret99@db:5432/book"
    monkeypatch.setenv("DATABASE_URL", url)
    with pytest.raises(SettingsError, match="BULKHEAD_DATABASE_URL_FILE") as refused:
        load_settings(Settings)
    assert "topsecret99" not in str(refused.value)
    monkeypatch.delenv("DATABASE_URL")
    (tmp_path / "url").write_text(f"{url}\n")
    monkeypatch.setenv("BULKHEAD_DATABASE_URL_FILE", str(tmp_path / "url"))
    assert shown(load_settings(Settings)) == url.replace("postgresql", "postgresql+psycopg")


def test_the_file_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A mounted secret is what production uses."""
    secret = tmp_path / "url"
    secret.write_text("postgresql://u:secret-password@db/book\n")
    monkeypatch.setenv("DATABASE_URL", "sqlite:///elsewhere.db")
    monkeypatch.setenv("BULKHEAD_DATABASE_URL_FILE", str(secret))
    settings = load_settings(Settings)
    assert settings.sql_url().database == "book"
    assert "secret-password" not in f"{settings!r} {settings.sql_url()!s} {settings.sql_url()!r}"


@pytest.mark.parametrize(
    "url", ["mysql://u:topsecret99@db/book", "topsecret99", "postgresql+asyncpg://u:topsecret99@db/b"]
)
def test_a_url_of_another_kind_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """The refusal names the variable and what it wants, never the password in it."""
    monkeypatch.setenv("DATABASE_URL", url)
    with pytest.raises(SettingsError) as refused:
        load_settings(Settings)
    assert "DATABASE_URL must hold a postgresql:// or sqlite:/// URL" in str(refused.value)
    assert "topsecret99" not in str(refused.value)


def test_a_missing_or_empty_file_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A secret that is not mounted stops the start, instead of writing to SQLite in silence."""
    monkeypatch.setenv("BULKHEAD_DATABASE_URL_FILE", str(tmp_path / "absent"))
    with pytest.raises(SettingsError, match=r"BULKHEAD_DATABASE_URL_FILE .*cannot be read: FileNotFoundError"):
        load_settings(Settings)
    (tmp_path / "absent").write_text("\n")
    with pytest.raises(SettingsError, match="must hold a postgresql:// or sqlite:/// URL"):
        load_settings(Settings)
