"""`bulkhead backtest DUMP`: the market of a recorded log again, with the recorded settings or others."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from libs.common.codec import encode
from libs.common.messages import FeedBars
from libs.research.log_market import Recorded, play_again
from libs.research.result import BacktestResult, SeriesUsed, result_of
from libs.research.scribe import Scribe
from libs.trading.fill_model import AS_QUOTED
from libs.trading.track_record import Trials
from services.cli.backtest_runs import version_of
from services.cli.exit_codes import BAD_DATA, BAD_DUMP, Failure
from services.cli.log_dump import read_dump
from services.cli.log_lines import BadDump

FIRST_WORDS = b'{"seq":'


def is_dump(path: Path) -> bool:
    """Whether `path` looks like `bulkhead log dump` wrote it."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(FIRST_WORDS)) == FIRST_WORDS


def recorded_in(path: Path) -> Recorded:
    """What the log at `path` holds of a market.

    Raises:
        Failure: it cannot be read, or holds none.
    """
    try:
        recorded = Recorded(read_dump(path))
    except BadDump as error:
        raise Failure(BAD_DUMP, str(error), "dump the log again with `bulkhead log dump`") from error
    if not (recorded.told and recorded.specs and recorded.cash):
        text = f"{path} holds no market to play again: no prices, no rules of instruments or no balances"
        raise Failure(BAD_DATA, text, "dump the log from its first event on")
    return recorded


def play(recorded: Recorded, settings: Mapping[str, Any] | None) -> BacktestResult:
    """Everything behind the feed anew: with `settings` (by service) in place of the recorded ones, if given. Orders meet the marks."""
    scribe = Scribe()
    test = play_again(recorded, scribe, settings=settings)
    used = {**recorded.settings, **(settings or {})}
    quote = recorded.specs[0].quote
    return result_of(
        scribe,
        series=_series(recorded, test.now),
        settings=used,
        code_version=version_of(used),
        model=AS_QUOTED,
        quote=quote,
        cash=recorded.cash.get(quote, Decimal(0)),
        qty_steps={each.instrument: each.qty_step for each in recorded.specs},
        trials=Trials(),
    )


def instruments_of(recorded: Recorded) -> tuple[str, ...]:
    """What can be traded on it."""
    return tuple(each.instrument for each in recorded.specs)


def _series(recorded: Recorded, end_ts: int) -> tuple[SeriesUsed, ...]:
    """The shortest bars the feed told of each instrument; their digest is over everything it told."""
    digest = hashlib.blake2b(digest_size=16)
    counts: dict[tuple[str, str], int] = {}
    for message in recorded.told:
        digest.update(encode(message))
        if isinstance(message, FeedBars):
            for bar in message.bars:
                if bar.timeframe == message.bars[-1].timeframe:
                    key = (bar.instrument, bar.timeframe)
                    counts[key] = counts.get(key, 0) + 1
    begin = recorded.told[0].ts_init
    return tuple(
        SeriesUsed(
            instrument=instrument,
            timeframe=timeframe,
            bars=count,
            first_ts_open=begin,
            end_ts=end_ts,
            digest=digest.hexdigest(),
        )
        for (instrument, timeframe), count in sorted(counts.items())
    )
