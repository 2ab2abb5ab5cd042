"""A search over settings, in a study that any number of workers share, here or elsewhere: all they need in common is the database.

Optuna proposes, a backtest answers, and every answer counts toward the deflated Sharpe ratio: the best of many trials is expected to look good.
Optuna's tables have names like ours (`trials`, `alembic_version`), so they live apart: in the schema `sweeps` of a Postgres database, in a file
`...-sweeps.db` beside a SQLite one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import optuna
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import URL, create_engine
from sqlalchemy.schema import CreateSchema

SCHEMA = "sweeps"
ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
LOCK_S = 60
UNKNOWN = -1e9
"""What a trial is worth whose figure is not known (too few days or trades): worse than any that is."""


class Range(msgspec.Struct, frozen=True):
    """A setting and where to look for it: numbers from `low` to `high` (in steps of `step`, if given), or one of `choices`."""

    name: str
    low: float = math.nan
    high: float = math.nan
    step: float | None = None
    is_whole: bool = False
    choices: tuple[str, ...] = ()

    def suggested(self, trial: optuna.Trial) -> str:
        """The value of this trial, as one would write it into the environment."""
        if self.choices:
            return str(trial.suggest_categorical(self.name, self.choices))
        if self.is_whole:
            return str(trial.suggest_int(self.name, int(self.low), int(self.high), step=int(self.step or 1)))
        return f"{trial.suggest_float(self.name, self.low, self.high, step=self.step):.10g}"


def parsed(text: str) -> Range:
    """`NAME=1:5` (numbers), `NAME=1:5:0.5` (in steps), `NAME=a|b|c` (one of these).

    Raises:
        ValueError: not of these forms, or an empty range.
    """
    name, equals, space = text.partition("=")
    if not (name and equals and space):
        raise ValueError(f"{text!r} is no range; write NAME=1:5, NAME=1:5:0.5 or NAME=a|b|c")
    if ":" not in space:
        choices = tuple(dict.fromkeys(space.split("|")))
        if len(choices) < 2:
            raise ValueError(f"{text!r} leaves nothing to choose; name two values or more, like NAME=a|b")
        return Range(name, choices=choices)
    parts = space.split(":")
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        numbers = []
    if not (2 <= len(numbers) <= 3 and all(map(math.isfinite, numbers)) and numbers[0] < numbers[1]):
        raise ValueError(f"{text!r} is no range of numbers; write NAME=1:5 or NAME=1:5:0.5, the smaller one first")
    if len(numbers) == 3 and not 0 < numbers[2] <= numbers[1] - numbers[0]:
        raise ValueError(f"{text!r}: the step must be positive and fit into the range")
    is_whole = all("." not in part and "e" not in part.lower() for part in parts)
    return Range(name, numbers[0], numbers[1], numbers[2] if len(numbers) == 3 else None, is_whole)


def study_storage(url: URL) -> RDBStorage:
    """Where studies live, beside the tables of the database at `url`.

    Raises:
        SQLAlchemyError: the database cannot be had.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if url.get_backend_name() == "sqlite":
        file = Path(url.database or "ledger.db")
        file.parent.mkdir(parents=True, exist_ok=True)
        place = url.set(database=str(file.with_name(f"{file.stem}-{SCHEMA}.db")))
        return RDBStorage(str(place), engine_kwargs={"connect_args": {"timeout": LOCK_S}})
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(CreateSchema(SCHEMA, if_not_exists=True))
    engine.dispose()
    inside = url.update_query_dict({"options": f"-csearch_path={SCHEMA}"})
    return RDBStorage(inside.render_as_string(hide_password=False))


class Sweep:
    """One study, as one of its workers sees it."""

    def __init__(self, storage: RDBStorage, name: str, ranges: tuple[Range, ...], seed: int | None = None):
        """Join the study `name`, or begin it.

        Raises:
            ValueError: the study is about other ranges.
        """
        sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
        self.study = optuna.create_study(
            storage=storage, study_name=name, direction="maximize", sampler=sampler, load_if_exists=True
        )
        self.ranges = ranges
        about = {each.name: msgspec.to_builtins(each) for each in ranges}
        about = msgspec.json.decode(msgspec.json.encode(about))  # as the database gives it back
        known = self.study.user_attrs.get("ranges")
        if known is None:
            self.study.set_user_attr("ranges", about)
        elif known != about:
            raise ValueError(f"the study {name!r} searches other ranges; give them as they were, or name another study")

    def run(self, until: int, worth: Callable[[Mapping[str, str]], tuple[float, dict[str, Any]]]) -> None:
        """Take part until the study has `until` trials that have ended. `worth` of settings is what is maximised (NaN: not known), and
        what else should be remembered of the trial. A `TrialRefused` is a trial that cannot be."""

        def objective(trial: optuna.Trial) -> float:
            value, about = worth({each.name: each.suggested(trial) for each in self.ranges})
            for name, each in about.items():
                trial.set_user_attr(name, each)
            return UNKNOWN if math.isnan(value) else value

        enough = optuna.study.MaxTrialsCallback(until, states=ENDED)
        if self.ended < until:
            self.study.optimize(objective, callbacks=[enough], catch=(TrialRefused,))

    @property
    def ended(self) -> int:
        """How many trials have ended, of all workers."""
        return sum(trial.state in ENDED for trial in self.study.get_trials(deepcopy=False))

    def ranking(self, count: int) -> list[FrozenTrial]:
        """The best trials whose worth is known, best first."""
        done = self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        known = [trial for trial in done if trial.value is not None and trial.value > UNKNOWN]
        return sorted(known, key=lambda trial: (-(trial.value or 0.0), trial.number))[:count]


class TrialRefused(Exception):
    """These settings cannot be: they contradict each other, or a limit."""
