"""Checked series of files as what a backtest plays: bars of the shortest timeframe, and of longer ones what was known before."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import islice

from pyarrow import RecordBatch

from libs.common.messages import Bar, FeedHistory, InstrumentSpec
from libs.common.timeframe import STEP, TIMEFRAMES
from libs.research.backtest import spec_of
from libs.research.bar_files.series import BarSeries
from libs.research.bar_files.terms import Repair
from libs.research.bar_market import BadHistory
from libs.research.result import SeriesUsed

HISTORY_BARS_MAX = 1_000
"""As many bars of a longer timeframe are told before the first bar, as the live feed does."""
PRICES_LOOKED_AT = 1_000
DECIMALS_MAX = 8
ROWS_AT_ONCE = 2_048


class Histories:
    """What is played: one base series for each instrument; series of longer timeframes warm the indicators.

    Raises:
        BadHistory: a timeframe that no agent knows, or instruments whose shortest bars are of different lengths.
    """

    def __init__(self, series: Sequence[BarSeries]):
        for each in series:
            if each.timeframe not in STEP:
                known = ", ".join(TIMEFRAMES)
                raise BadHistory(f"{each.instrument}: {each.timeframe} bars; what decides here knows {known} only")
        self.base = min((each.timeframe for each in series), key=STEP.__getitem__, default="")
        self.played = [each for each in series if each.timeframe == self.base]
        self.before = [each for each in series if each.timeframe != self.base]
        without = sorted({each.instrument for each in self.before} - {each.instrument for each in self.played})
        if without:
            raise BadHistory(f"{', '.join(without)}: no {self.base} bars, which the others have; play them apart")
        self.instruments = tuple(each.instrument for each in self.played)
        self.begin = min((each.first_ts_open for each in self.played), default=0)
        self.end = max((each.end_ts for each in self.played), default=0)

    @property
    def repairs(self) -> list[Repair]:
        """Every repair that was made."""
        return [repair for each in (*self.played, *self.before) for repair in each.repairs]

    @property
    def used(self) -> tuple[SeriesUsed, ...]:
        """What was played, for the record."""
        return tuple(
            SeriesUsed(
                instrument=each.instrument,
                timeframe=each.timeframe,
                bars=each.bars,
                first_ts_open=each.first_ts_open,
                end_ts=each.end_ts,
                digest=each.digest,
                repairs=tuple(f"{one.kind.value} x {one.count}" for one in each.repairs),
            )
            for each in (*self.played, *self.before)
        )

    def streams(self, venue: str) -> list[Iterator[Bar]]:
        """The bars to play, one iterator for each instrument, read from disk as they are wanted."""
        return [bars_of(each, venue) for each in self.played]

    def warm_up(self, venue: str) -> Iterator[FeedHistory]:
        """The last bars of longer timeframes that had closed when the first played bar opened."""
        for each in self.before:
            closed = (bar for bar in bars_of(each, venue) if bar.ts_close <= self.begin)
            bars = tuple(deque(closed, maxlen=HISTORY_BARS_MAX))
            if bars:
                yield FeedHistory(
                    instrument=each.instrument,
                    timeframe=each.timeframe,  # type: ignore[arg-type]  checked above
                    bars=bars,
                    ts_event=self.begin,
                    ts_init=self.begin,
                )

    def specs(self, fee: Decimal) -> tuple[InstrumentSpec, ...]:
        """Trading rules that follow from the first prices: the finest tick they show, and steps as a large venue has them."""
        found = []
        for each in self.played:
            first = list(islice(bars_of(each, ""), PRICES_LOOKED_AT))
            decimals = max(_decimals(px) for bar in first for px in (bar.open, bar.high, bar.low, bar.close))
            found.append(spec_of(each.instrument, first[0].open, fee=fee, px_decimals=decimals))
        return tuple(found)


def bars_of(series: BarSeries, venue: str) -> Iterator[Bar]:
    """The bars of a series, one by one."""
    instrument, timeframe = series.instrument, series.timeframe
    step = STEP[timeframe]
    for batch in _small(series.batches()):
        columns = [batch.column(name).to_pylist() for name in _COLUMNS]
        for ts_open, opened, high, low, close, volume, synthetic in zip(*columns, strict=True):
            yield Bar(
                instrument=instrument,
                venue=venue,
                timeframe=timeframe,  # type: ignore[arg-type]  one of STEP
                ts_open=ts_open,
                ts_close=ts_open + step,
                open=opened,
                high=high,
                low=low,
                close=close,
                volume=volume,
                synthetic=synthetic,
            )


def _small(batches: Iterator[RecordBatch]) -> Iterator[RecordBatch]:
    """Cut into pieces of at most `ROWS_AT_ONCE`: as Python's numbers rows need many times their place."""
    for batch in batches:
        for start in range(0, batch.num_rows, ROWS_AT_ONCE):
            yield batch.slice(start, ROWS_AT_ONCE)


_COLUMNS = ("ts_open", "open", "high", "low", "close", "volume", "synthetic")


def _decimals(px: float) -> int:
    _, _, digits = f"{px:.{DECIMALS_MAX}f}".rstrip("0").partition(".")
    return len(digits)
