"""Where trials and studies are kept: in the project's database, beside the ledger's tables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from libs.runtime.registry import settings_of
from libs.runtime.settings import load_settings
from services.cli.exit_codes import UNAVAILABLE, Failure


def project_database() -> Any:
    """The URL of the project's database; the state folder is made if the database is to be a file in it."""
    settings: Any = load_settings(settings_of("ledger"), strict=False)
    Path(settings.home).mkdir(parents=True, exist_ok=True, mode=0o700)
    return settings.sql_url()


@contextmanager
def database_at_hand() -> Iterator[None]:
    """What goes wrong with the database inside is an answer, not a crash.

    Raises:
        Failure
    """
    from sqlalchemy.exc import SQLAlchemyError  # it takes a while to import

    try:
        yield
    except SQLAlchemyError as error:
        cause = type(error.__cause__ or error).__name__
        text = f"the project's database, which counts trials, cannot be had ({cause})"
        raise Failure(UNAVAILABLE, text, "see `bulkhead doctor`; DATABASE_URL names another one") from error
