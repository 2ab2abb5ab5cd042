"""`bulkhead sweep`: a search over settings, every trial a backtest and counted."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from libs.research.bar_files.terms import RefusedFile, Told
from libs.runtime.settings import SettingsError
from services.cli.answering import answering, show
from services.cli.backtest_app import BPS, Agents, Files, Json, Repairs, Sets
from services.cli.backtest_settings import given, machine_settings
from services.cli.exit_codes import BAD_DATA, OK, USAGE, Failure

OBJECTIVES = ("sharpe", "sortino", "calmar", "expectancy_r", "profit_factor", "total_return")
RANKED = 10


def sweep(
    files: Files,
    study: Annotated[str, typer.Option("--study", help="Workers of one name share one search.")],
    ranges: Annotated[
        list[str], typer.Option("--range", metavar="NAME=1:5", help="NAME=1:5, NAME=1:5:0.5 or NAME=a|b|c; several.")
    ],
    trials: Annotated[int, typer.Option(min=1, max=100_000, help="So many in all, of all workers.")] = 50,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes here; others may join elsewhere.")] = 1,
    objective: Annotated[str, typer.Option(help=f"What is maximised: {', '.join(OBJECTIVES)}.")] = "sharpe",
    cash: Annotated[float, typer.Option(min=1, help="What each trial begins with.")] = 100_000,
    fee_bps: Annotated[float, typer.Option(min=0, max=1_000, help="What the venue takes of a fill.")] = 10,
    seed: Annotated[int | None, typer.Option(help="Of the search; one worker and a seed give one result.")] = None,
    assume_utc: Annotated[bool, typer.Option("--assume-utc", help="Times without an offset are UTC.")] = False,
    repair: Repairs = [],  # noqa: B006  typer wants a list
    sets: Sets = [],  # noqa: B006
    agent: Agents = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Search settings by backtests. The best of many trials is expected to look good: how good is told beside it."""
    with answering(as_json):
        if objective not in OBJECTIVES:
            raise Failure(USAGE, f"nothing is called {objective!r} here", f"maximise one of {', '.join(OBJECTIVES)}")
        search = _Search(study, ranges, objective, seed, {**os.environ, **given(sets)})
        try:
            search.open(files, Told(assume_utc=assume_utc), frozenset(repair), agent, Decimal(str(cash)), fee_bps)
        except RefusedFile as refused:
            raise Failure(BAD_DATA, refused.wrong, refused.remedy or "correct the file, or leave it out") from refused
        others = [_worker() for _ in range(workers - 1)]
        try:
            search.run(trials)
        finally:
            for each in others:
                each.wait()
        answer = search.answer()
        search.close()
        show(answer if as_json else _text(answer), as_json)
    raise typer.Exit(OK)


class _Search:
    """One worker's part of a study."""

    def __init__(self, study: str, ranges: list[str], objective: str, seed: int | None, environment: Mapping[str, str]):
        from libs.research import sweep as sweeps  # optuna takes a while to import

        try:
            self._ranges = tuple(map(sweeps.parsed, ranges))
        except ValueError as error:
            raise Failure(USAGE, str(error), "correct --range") from error
        unknown = [each.name for each in self._ranges if not each.name.startswith("BULKHEAD_")]
        if unknown:
            raise Failure(USAGE, f"--range {unknown[0]} names no setting", "docs/configuration.md lists them all")
        self._sweeps, self._name, self._objective, self._seed = sweeps, study, objective, seed
        self._environment = environment

    def open(self, files: Any, told: Told, repair: Any, agents: Any, cash: Decimal, fee_bps: float) -> None:
        """Check the files, and join the study.

        Raises:
            Failure, RefusedFile
        """
        from libs.research.trials import TrialCounter
        from services.cli import backtest_runs as runs
        from services.cli.research_place import database_at_hand, project_database

        self._runs = runs
        self._plan = runs.Plan(cash=cash, fee=Decimal(str(fee_bps)) * BPS)
        self._histories = runs.opened(files, told, repair, None, None)
        self._plugins = runs.plugged(agents)
        self._seen = runs.hearing(self._environment, self._plugins)
        url = project_database()
        try:
            with database_at_hand():
                self._counter = TrialCounter.open(url)
                storage = self._sweeps.study_storage(url)
                self._sweep = self._sweeps.Sweep(storage, self._name, self._ranges, self._seed)
        except ValueError as error:
            raise Failure(USAGE, str(error), "correct --range, or choose another --study") from error

    def run(self, until: int) -> None:
        """Take part until there are so many trials."""
        self._sweep.run(until, self._worth)

    def close(self) -> None:
        """Let go of the database."""
        self._counter.close()

    def _worth(self, settings: Mapping[str, str]) -> tuple[float, dict[str, Any]]:
        runs, began = self._runs, time.time_ns()
        try:
            machines = machine_settings({**self._seen, **settings}, self._histories.instruments)
            runs.check(self._histories, machines)
        except (SettingsError, Failure) as error:
            raise self._sweeps.TrialRefused(str(error)) from error
        result = runs.run(self._plan, self._histories, machines, self._plugins, None, _unseen)
        self._counter.note(runs.trial_of(result, self._name, began))
        found = runs.summary(result)
        value = found["metrics"][self._objective]
        value = value["value"] if isinstance(value, dict) else value
        about = {"digest": found["digest"], "equity_final": found["equity_final"], "trades": found["trades"]}
        return (math.nan if value is None else float(value)), about

    def answer(self) -> dict[str, Any]:
        """The best trials, and what their number does to them."""
        counted = self._counter.trials(self._name)
        from libs.trading.performance import YEAR, expected_best

        luck = expected_best(counted.count, counted.variance) * math.sqrt(YEAR) if counted.count > 1 else 0.0
        return {
            "study": self._name,
            "objective": self._objective,
            "trials_ended": self._sweep.ended,
            "trials_counted": counted.count,
            "sharpe_of_the_best_without_skill": None if math.isnan(luck) else luck,
            "best": [
                {"number": each.number, "worth": each.value, "settings": each.params, **each.user_attrs}
                for each in self._sweep.ranking(RANKED)
            ],
        }


def _worker() -> subprocess.Popen[bytes]:
    """The same command as one more process; it says nothing, and what goes wrong with it stands on standard error."""
    words = [word for word in sys.argv[1:] if word != "--json"]
    code = "from services.cli.app import main; main()"
    command = [sys.executable, "-c", code, *_with_one_worker(words)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603  our own command line


def _with_one_worker(words: list[str]) -> list[str]:
    kept: list[str] = []
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word == "--workers":
            skip = True
        elif not word.startswith("--workers="):
            kept.append(word)
    return kept


def _unseen(now: int) -> None:
    """Nobody looks."""


def _text(answer: dict[str, Any]) -> RenderableType:
    luck = answer["sharpe_of_the_best_without_skill"]
    head = f"{answer['study']}: {answer['trials_ended']} trials have ended, {answer['trials_counted']} are counted"
    lines = [
        f"{each['number']:5}  {answer['objective']} {each['worth']:.4g}  {each['trades']} trades  "
        + ", ".join(f"{name}={value}" for name, value in each["settings"].items())
        for each in answer["best"]
    ]
    if not lines:
        lines = ["no trial has a figure that is known: too few days or trades"]
    told = "not known yet" if luck is None else f"{luck:.2f}"
    warning = f"the best of so many trials without any skill is expected to show a Sharpe ratio a year of {told}"
    return Group(Text(head, style="bold"), *map(Text, lines), Text(warning))
