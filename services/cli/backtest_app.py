"""`bulkhead backtest`: the live system's machines over history, and what may be said of the result."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from libs.research.bar_files.terms import RefusedFile, RepairKind, Told
from services.cli.answering import answering, show
from services.cli.backtest_settings import given, machine_settings
from services.cli.exit_codes import BAD_DATA, CANNOT_WRITE, USAGE, Failure
from services.cli.options import Json

SECOND = 1_000_000_000
BPS = Decimal("0.0001")
IDLE = ("--log", "--sensitivity", "--agent", "--from", "--to", "--repair")
"""Options that mean nothing where history is the dump of a log."""
UNREADY = (
    "nobody had an opinion that was ready: the history is too short for what the agents need to warm up (250 bars of the longest of"
    " BULKHEAD_TREND_TIMEFRAMES, or what your agent asks for); give longer files, files of longer bars beside them, or shorter timeframes"
)

Files = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE...",
        help="Bars: CSV (also .gz, .zip), Parquet, freqtrade's feather, folders of them, a recorded dataset; or one dump of a log.",
        exists=True,
    ),
]
Sets = Annotated[
    list[str], typer.Option("--set", metavar="NAME=VALUE", help="A setting of a service, as in the environment.")
]
Repairs = Annotated[
    list[RepairKind], typer.Option("--repair", help="What may be done to bad rows; without it they are refused.")
]
Agents = Annotated[
    list[Path], typer.Option("--agent", exists=True, dir_okay=False, help="An agent of your own that is heard.")
]


def backtest(
    files: Files,
    cash: Annotated[float, typer.Option(min=1, help="What it begins with, in quote currency.")] = 100_000,
    fee_bps: Annotated[float, typer.Option(min=0, max=1_000, help="What the venue takes of a fill.")] = 10,
    costs: Annotated[float, typer.Option(min=0, max=100, help="Spread, slippage and impact, times this.")] = 1,
    delay_bars: Annotated[int, typer.Option(min=0, max=100, help="Orders reach the venue so many bars later.")] = 0,
    begin: Annotated[datetime | None, typer.Option("--from", help="Bars from here on (UTC).")] = None,
    end: Annotated[datetime | None, typer.Option("--to", help="Bars that close by then (UTC).")] = None,
    instrument: Annotated[str, typer.Option(help="What the files are about, if their names do not say it.")] = "",
    timeframe: Annotated[str, typer.Option(help="How long their bars are, if their names do not say it.")] = "",
    assume_utc: Annotated[bool, typer.Option("--assume-utc", help="Times without an offset are UTC.")] = False,
    repair: Repairs = [],  # noqa: B006  typer wants a list
    sets: Sets = [],  # noqa: B006
    agent: Agents = [],  # noqa: B006
    html: Annotated[Path | None, typer.Option("--html", help="Write the report here.", show_default=False)] = None,
    log: Annotated[Path | None, typer.Option("--log", help="Write the log here.", show_default=False)] = None,
    study: Annotated[
        str,
        typer.Option("--study", help="Count this run as a trial of this name, for ever; the record is told how many."),
    ] = "",
    sensitivity: Annotated[
        bool, typer.Option("--sensitivity", help="Run it again with costs x 0, 2, 3 and orders a bar later.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Play history to the machines of the live system, with the settings they would have, around a paper venue."""
    with answering(as_json):
        from services.cli import backtest_log  # what these need takes a while to import
        from services.cli import backtest_runs as runs

        environment, began = {**os.environ, **given(sets)}, time.time_ns()
        if len(files) == 1 and backtest_log.is_dump(files[0]):
            idle = (log, sensitivity, agent, begin, end, repair)
            result = _again(files[0], environment if sets else None, idle)
        else:
            told = Told(instrument=instrument, timeframe=timeframe, assume_utc=assume_utc)
            plan = runs.Plan(
                cash=Decimal(str(cash)),
                fee=Decimal(str(fee_bps)) * BPS,
                costs=Decimal(str(costs)),
                delay_bars=delay_bars,
            )
            try:
                histories = runs.opened(files, told, frozenset(repair), ns_of(begin), ns_of(end))
            except RefusedFile as refused:
                remedy = refused.remedy or "correct the file, or leave it out"
                raise Failure(BAD_DATA, refused.wrong, remedy) from refused
            for each in histories.repairs:
                print(f"bulkhead: repaired: {each}", file=sys.stderr)
            plugins = runs.plugged(agent)
            settings = machine_settings(runs.hearing(environment, plugins), histories.instruments)
            runs.check(histories, settings)
            with _shown(as_json, histories.begin, histories.end) as progress:
                result = runs.run(plan, histories, settings, plugins, log, progress)
            if sensitivity:
                result = runs.with_variants(plan, histories, settings, plugins, result)
        if study:
            from services.cli.research_place import database_at_hand, project_database

            with database_at_hand():
                result = runs.counted(result, study, began, project_database())
        if html is not None:
            _write(html, lambda: runs.report(result, html))
        show(runs.summary(result) if as_json else _text(result, study, html, log), as_json)


def _again(dump: Path, environment: Mapping[str, str] | None, idle: Sequence[object]) -> Any:
    """The market of a recorded log; with other settings than the recorded ones if an environment is given. It brings its own span,
    agents and rows: options about these (`idle`, in the order of `IDLE`) are refused and not passed over in silence."""
    from services.cli import backtest_log

    if named := [name for name, value in zip(IDLE, idle, strict=True) if value]:
        text = f"{', '.join(named)} does not apply to the dump of a log"
        raise Failure(USAGE, text, "leave it out; --set, --study and --html apply")
    recorded = backtest_log.recorded_in(dump)
    settings = None if environment is None else machine_settings(environment, backtest_log.instruments_of(recorded))
    return backtest_log.play(recorded, settings)


def ns_of(at: datetime | None) -> int | None:
    """An instant of the command line in ns; without an offset it is UTC."""
    if at is None:
        return None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()) * SECOND


def _write(path: Path, write: Callable[[], None]) -> None:
    try:
        write()
    except OSError as error:
        raise Failure(
            CANNOT_WRITE, f"cannot write {path}: {error.strerror}", "name a file that can be written"
        ) from error


@contextmanager
def _shown(as_json: bool, begin: int, end: int) -> Iterator[Callable[[int], None]]:
    """A bar on standard error while history passes, where somebody looks."""
    if as_json or not sys.stderr.isatty():
        yield lambda now: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("history", total=max(1, end - begin))

        def told(now: int) -> None:
            progress.update(
                task, completed=now - begin, description=f"{datetime.fromtimestamp(now / SECOND, UTC):%Y-%m-%d}"
            )

        yield told


def _text(result: Any, study: str, html: Path | None, log: Path | None) -> RenderableType:
    from libs.trading.track_record import lines

    head = [
        f"{each.instrument} {each.timeframe}: {each.bars:,} bars, {_day(each.first_ts_open)} to {_day(each.end_ts)}"
        for each in result.series
    ]
    quote = result.quote
    money = (
        f"{result.cash:,.2f} {quote} became {result.equity_final:,.2f} {quote}; deepest fall {result.drawdown_max:.2%}"
    )
    denied = ", ".join(f"{code} {count}" for code, count in list(result.denials.items())[:8])
    body = [*lines(result.record)]
    for each in result.variants:
        ratio = "not known yet" if math.isnan(each.sharpe) else f"{each.sharpe:.2f}"
        body.append(f"{each.name}: {each.equity_final:,.2f} {quote}, {each.trades} trades, Sharpe ratio {ratio}")
    if not result.counts.get("ready opinions"):
        body.insert(0, UNREADY)
    if denied:
        body.append(f"the gate denied: {denied}")
    tail = [] if study else ["this run is counted nowhere: --study NAME counts it, and every other try of that name"]
    tail += [f"digest {result.digest}"]
    tail += [f"report: {html}"] if html is not None else []
    tail += [f"log: {log} (bulkhead replay --verify --from-file {log})"] if log is not None else []
    return Group(
        *map(Text, head), Text(money, style="bold"), *map(Text, body), *(Text(each, style="dim") for each in tail)
    )


def _day(ts: int) -> str:
    return f"{datetime.fromtimestamp(ts / SECOND, UTC):%Y-%m-%d %H:%M}"
