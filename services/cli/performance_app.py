"""`bulkhead performance`: what the book has earned so far, and what may be said of it: figures with intervals, targets as targets."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from services.cli import trace
from services.cli.answering import answering, show
from services.cli.exit_codes import NOT_YET, UNAVAILABLE, USAGE, Failure
from services.cli.options import Dump, Home, Json
from services.cli.place import find_place

TABLE = ("win_rate", "profit_factor", "expectancy", "cost_share", "sharpe")


def performance(
    ctx: typer.Context,
    by: Annotated[
        str, typer.Option("--by", help="Also apart by: agent, instrument, regime, hour (of the entry, UTC), reason.")
    ] = "",
    study: Annotated[
        str,
        typer.Option(
            "--study", help="The name under which backtests and sweeps of this strategy were counted as trials."
        ),
    ] = "",
    from_file: Dump = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Say what the book has earned, from its log: at every 00:00 UTC and now, net of costs and of money paid in or out."""
    with answering(as_json):
        from libs.desk.book_record import book_in
        from libs.trading.track_record import Trials, book_record, records_by
        from libs.trading.trade_stats import LABELS

        if by and by not in LABELS:
            raise Failure(USAGE, f"--by {by}: there is no such label", f"one of {', '.join(LABELS)}")
        trials = _trials(study) if study else Trials()
        source = trace.read_from(from_file) if from_file else trace.read_live(find_place(home or ctx.obj))
        with source as log:
            book = book_in(log)
        if book is None:
            raise Failure(
                NOT_YET, "no equity is known: the book was never opened", "wait for the first reading of the account"
            )
        record = book_record(book.daily, book.trips, trials=trials)
        groups = records_by(by, book.daily, book.trips, trials=trials) if by else {}
        show(_document(book, record, by, groups) if as_json else _text(book, record, by, groups), as_json)


def _trials(study: str) -> Any:
    """What was tried under this name, of the project's database.

    Raises:
        Failure: nothing was, or the database does not answer.
    """
    from sqlalchemy.exc import SQLAlchemyError

    from libs.research.trials import TrialCounter
    from services.cli.research_place import project_database

    try:
        counter = TrialCounter.open(project_database())
        try:
            count, found = counter.count(study), counter.trials(study)
        finally:
            counter.close()
    except (SQLAlchemyError, OSError) as error:
        raise Failure(
            UNAVAILABLE, f"the counter of trials does not answer: {type(error).__name__}", "leave out --study"
        ) from error
    if not count:
        raise Failure(
            USAGE, f"--study {study}: no trial of this name is on record", "name it as `bulkhead backtest --study` did"
        )
    return found


def _document(book: Any, record: Any, by: str, groups: dict[str, Any]) -> dict[str, Any]:
    from libs.research.result import metrics_of, targets_of

    last = book.last
    return {
        "now": {
            "ts": last.ts_init,
            "equity": str(last.equity),
            "high_water_mark": str(last.high_water_mark),
            "drawdown": str(last.drawdown),
            "unrealized_pnl": str(last.unrealized_pnl),
        },
        "live_return": book.daily.live_return,
        "days": [
            {
                "ts": day.ts,
                "equity": str(day.equity),
                "flow": str(day.flow),
                "return": day.growth - 1.0,
                "carried": day.is_carried,
            }
            for day in book.daily.days
        ],
        "trades": record.trades.count,
        "trades_open": record.trades_open,
        "metrics": metrics_of(record),
        "targets": targets_of(record),
        "by": by,
        "groups": {name: {"trades": each.trades.count, **metrics_of(each)} for name, each in groups.items()},
    }


def _text(book: Any, record: Any, by: str, groups: dict[str, Any]) -> RenderableType:
    from libs.trading.track_record import lines

    last = book.last
    since = f"{book.daily.live_return:+.2%} since {'the last 00:00 UTC' if book.daily.days else 'it began'}"
    now = f"equity now {last.equity:.2f}, {since}; {last.drawdown:.2%} below its highest ({last.high_water_mark:.2f})"
    rows: list[RenderableType] = [Text(now, style="bold"), *(Text(line) for line in lines(record))]
    if groups:
        rows.append(_by_group(by, groups))
    return Group(*rows)


def _by_group(by: str, groups: dict[str, Any]) -> Table:
    from libs.research.result import metrics_of

    table = Table(by, "trades", *(name.replace("_", " ") for name in TABLE))
    for name, each in groups.items():
        figures = metrics_of(each)
        table.add_row(name or "none named", str(each.trades.count), *(_shown(figures[column]) for column in TABLE))
    return table


def _shown(figure: dict[str, float | None]) -> str:
    value, low, high = (figure[name] for name in ("value", "low", "high"))
    if value is None:
        return "not known yet"
    return f"{value:.4g}" if low is None or high is None else f"{value:.4g} [{low:.4g}, {high:.4g}]"
