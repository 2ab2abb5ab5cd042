"""How many things were tried before one was shown: a counter that outlives the processes that count.

The best of many strategies without skill looks skilled, so a Sharpe ratio means nothing without the number of trials behind it. Each run of a
strategy over data is noted here with what makes it the trial it is: code, settings and data, as digests. The same of all four again is one trial that ran
twice: its first ratio stands (whoever repeats a run until it looks better has not tried less), and `runs` says how often it ran.

The table lives in the ledger's Postgres, or in a SQLite file of its own; it is facts and no projection of the log, and nothing can make it
again. Any number of processes may note at once: a note is one statement that inserts or counts, in one transaction; the table is made under the
database's own lock. What this cannot do: nobody is kept from deleting rows, from another database, or from trying in his head. A count is a lower bound.
"""

from __future__ import annotations

import math
import sqlite3
import time
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import (
    URL,
    BigInteger,
    Column,
    Connection,
    Double,
    Engine,
    MetaData,
    String,
    Table,
    create_engine,
    event,
    func,
    make_url,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite

from libs.trading.track_record import Trials

WAIT_S = 30
TABLE_LOCK = 0x74726C73  # "trls": any constant that no other user of the same Postgres locks
NAME_CHARS_MAX = 200

_METADATA = MetaData()


def _text(name: str, *, primary_key: bool = False) -> Column[str]:
    return Column(name, String(NAME_CHARS_MAX), primary_key=primary_key, nullable=False)


TRIALS = Table(
    "trials",
    _METADATA,
    _text("strategy", primary_key=True),
    _text("code_digest", primary_key=True),
    _text("settings_digest", primary_key=True),
    _text("data_digest", primary_key=True),
    Column("started_at", BigInteger, nullable=False),
    Column("last_started_at", BigInteger, nullable=False),
    Column("runs", BigInteger, nullable=False),
    Column("sharpe", Double),
    Column("observations", BigInteger, nullable=False),
    _text("by_whom"),
)
"""One row per distinct trial. `started_at` (ns UTC), `sharpe`, `observations` and `by_whom` are those of its first run; `sharpe` NULL: unknown."""


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One run: what was tried, when it started (ns UTC), its Sharpe ratio per observation (NaN: unknown), and who tried."""

    strategy: str
    code_digest: str
    settings_digest: str
    data_digest: str
    started_at: int
    sharpe: float
    observations: int
    by_whom: str


class TrialCounter:
    """The counter in one database. Errors of the database are SQLAlchemy's own and come through."""

    def __init__(self, engine: Engine):
        self._engine = engine

    @classmethod
    def open(cls, url: URL | str) -> TrialCounter:
        """The counter in the database of `url`; the table is made if there is none, by one of however many processes."""
        engine = _engine(make_url(url))
        with engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(select(func.pg_advisory_xact_lock(TABLE_LOCK)))
            _METADATA.create_all(connection)
        return cls(engine)

    def close(self) -> None:
        """Let go of the connections."""
        self._engine.dispose()

    def note(self, trial: Trial) -> bool:
        """Count a run; True if this trial is new, False if it ran before.

        Raises:
            ValueError: a name or digest is empty or longer than `NAME_CHARS_MAX`, or the ratio is infinite.
        """
        _check(trial)
        row = msgspec.structs.asdict(trial)
        row |= {"runs": 1, "last_started_at": trial.started_at}
        row["sharpe"] = None if math.isnan(trial.sharpe) else trial.sharpe
        with self._engine.begin() as connection:
            insert = (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(TRIALS).values(row)
            latest = func.greatest if connection.dialect.name == "postgresql" else func.max
            counted = insert.on_conflict_do_update(
                index_elements=list(TRIALS.primary_key),
                set_={
                    "runs": TRIALS.c.runs + 1,
                    "last_started_at": latest(TRIALS.c.last_started_at, insert.excluded.last_started_at),
                },
            )
            runs: int = connection.execute(counted.returning(TRIALS.c.runs)).scalar_one()
        return runs == 1

    def count(self, strategy: str | None = None) -> int:
        """Distinct trials of a strategy, or of all."""
        return int(self._one(select(func.count()).select_from(TRIALS), strategy))

    def runs(self, strategy: str | None = None) -> int:
        """Runs of a strategy, or of all, repetitions included."""
        return int(self._one(select(func.coalesce(func.sum(TRIALS.c.runs), 0)), strategy))

    def variance(self, strategy: str | None = None) -> float:
        """The sample variance of the trials' Sharpe ratios per observation; 0 with one trial, NaN where fewer than two ratios are known."""
        ratios = self.ratios(strategy)
        if len(ratios) < 2:
            return 0.0 if self.count(strategy) <= 1 else math.nan
        mean = math.fsum(ratios) / len(ratios)
        return math.fsum((each - mean) ** 2 for each in ratios) / (len(ratios) - 1)

    def trials(self, strategy: str | None = None) -> Trials:
        """What a track record must know of them; nothing noted is one trial, the one that is looked at."""
        return Trials(max(1, self.count(strategy)), self.variance(strategy))

    def ratios(self, strategy: str | None = None) -> list[float]:
        """The known Sharpe ratios per observation, in the order of their trials."""
        asked = (
            select(TRIALS.c.sharpe)
            .where(TRIALS.c.sharpe.is_not(None))
            .order_by(TRIALS.c.started_at, *TRIALS.primary_key)
        )
        with self._engine.begin() as connection:
            return [float(each) for each in connection.execute(_of(asked, strategy)).scalars()]

    def effective_count(self, correlation: float, strategy: str | None = None) -> float:
        """How many independent trials these are worth if their returns correlate by `correlation` on average: c + (1 - c) N.

        Bailey and Lopez de Prado (2014), appendix 3. The plain count is the careful choice where the correlation is not known.

        Raises:
            ValueError: the correlation is not in [0, 1].
        """
        if not 0.0 <= correlation <= 1.0:
            raise ValueError(f"an average correlation of {correlation} is not in [0, 1]")
        count = self.count(strategy)
        return correlation + (1 - correlation) * count if count else 0.0

    def _one(self, asked: Any, strategy: str | None) -> Any:
        with self._engine.begin() as connection:
            return connection.execute(_of(asked, strategy)).scalar_one()


def _of(asked: Any, strategy: str | None) -> Any:
    return asked if strategy is None else asked.where(TRIALS.c.strategy == strategy)


def _check(trial: Trial) -> None:
    for name in ("strategy", "code_digest", "settings_digest", "data_digest", "by_whom"):
        if not 0 < len(getattr(trial, name)) <= NAME_CHARS_MAX:
            raise ValueError(f"{name} of a trial has 1 to {NAME_CHARS_MAX} characters")
    if math.isinf(trial.sharpe):
        raise ValueError("a Sharpe ratio is finite or not known (NaN)")


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "postgresql":
        return create_engine(url, pool_size=1, max_overflow=1, hide_parameters=True)
    if url.database and url.database != ":memory:":
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": WAIT_S})
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _configure_sqlite(connection: sqlite3.Connection, _: Any) -> None:
    """WAL, and transactions that are exactly what we say: see `BEGIN IMMEDIATE` below."""
    connection.isolation_level = None
    deadline = time.monotonic() + WAIT_S
    while True:  # the switch to WAL does not wait for others as everything else does
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            break
    connection.execute("PRAGMA synchronous=FULL")  # nothing can make this table again


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
