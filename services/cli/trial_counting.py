"""Where trials are counted, and the note that each one leaves: so that the third week of trying is not told as the first."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from libs.research.trials import Trial, TrialCounter
from libs.research.validity.telling import Candidate
from libs.trading.performance import moments
from libs.trading.track_record import Trials
from services.cli.child_settings import load_child
from services.cli.exit_codes import UNAVAILABLE, USAGE, Failure
from services.cli.place import stack_settings
from services.cli.stack import StackSettings, service_specs

FILE = "trials.db"
BY_WHOM = "validate"
CURE = "name another database: --trials sqlite:///trials.db"


def counted(
    place: URL,
    candidates: Sequence[Candidate],
    returns: Mapping[str, Sequence[float]],
    data_digest: str,
) -> tuple[Trials, int]:
    """Note every setting that was run as a trial; returns all that are on record of this strategy, and how often they ran.

    Raises:
        Failure: the counter cannot be had; without it nobody may say how much of a ratio is luck.
    """
    name = candidates[0].name
    try:
        counter = TrialCounter.open(place)
        try:
            for each in candidates:
                counter.note(
                    Trial(
                        strategy=name,
                        code_digest=each.code_digest,
                        settings_digest=each.settings_digest,
                        data_digest=data_digest,
                        started_at=time.time_ns(),
                        sharpe=moments(returns[each.label]).sharpe,
                        observations=len(returns[each.label]),
                        by_whom=BY_WHOM,
                    )
                )
            return counter.trials(name), counter.runs(name)
        finally:
            counter.close()
    except (SQLAlchemyError, OSError) as error:
        raise Failure(UNAVAILABLE, f"the counter of trials cannot be written: {type(error).__name__}", CURE) from error


def place_of(told: str, environment: Mapping[str, str]) -> URL:
    """As told (a URL, or a file); else the ledger's Postgres; else a file of its own in the state folder, which no running ledger locks.

    Raises:
        Failure: what was told is no database.
    """
    if told:
        try:
            url = make_url(told if "://" in told else f"sqlite:///{told}")
        except ArgumentError:
            raise Failure(USAGE, "--trials names no database", CURE) from None
        if url.get_backend_name() not in ("sqlite", "postgresql"):
            raise Failure(USAGE, f"--trials names a {url.get_backend_name()} database", CURE)
        return url
    with tempfile.TemporaryDirectory(prefix="bulkhead-validate-") as folder:
        stack = StackSettings.model_construct(home=Path(folder), port_base=4200)
        specs = {each.name: each for each in service_specs(stack, environment, is_newcomers=False)}
        url: URL = load_child(specs["ledger"]).sql_url()
    if url.get_backend_name() != "sqlite":
        return url
    return URL.create("sqlite", database=str(stack_settings(strict=False).home / FILE))
