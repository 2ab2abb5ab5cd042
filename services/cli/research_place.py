"""Where trials and studies are kept, for all commands that count them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL
from sqlalchemy.exc import SQLAlchemyError

from services.cli.exit_codes import UNAVAILABLE, Failure
from services.cli.trial_counting import place_of


def project_database() -> URL:
    """The ledger's Postgres if there is one, else a file of its own in the state folder, which is made for it."""
    url = place_of("", os.environ)
    if url.get_backend_name() == "sqlite" and url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return url


@contextmanager
def database_at_hand() -> Iterator[None]:
    """What goes wrong with the database inside is an answer, not a crash.

    Raises:
        Failure
    """
    try:
        yield
    except SQLAlchemyError as error:
        cause = type(error.__cause__ or error).__name__
        text = f"the project's database, which counts trials, cannot be had ({cause})"
        raise Failure(UNAVAILABLE, text, "see `bulkhead doctor`; DATABASE_URL names another one") from error
