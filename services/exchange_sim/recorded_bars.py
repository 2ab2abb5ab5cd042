"""A market drawn through recorded one-minute bars: what a file says of a minute is what its trades make.

    history before the first bar         the recorded minutes              after the last bar
    generated, scaled to end at the  ──▶ trades drawn so that they make ──▶ generated, scaled to begin at
    first recorded price                 exactly the recorded bar           the last recorded price

Bars say less than trades do: the way from open to close within a minute, sizes and the spread are drawn from the seed as on a generated
market (`prints`). A minute in which little was traded has at least one lot in each of its twelve trades. Longer bars that reach into the recording
are made of its minutes.
"""

from __future__ import annotations

from pathlib import Path

from libs.common.timeframe import DAY, MINUTE
from libs.research.bar_files.series import BarSeries, open_bars
from libs.research.bar_files.terms import RefusedFile, RepairKind, Told
from libs.research.histories import bars_of
from libs.runtime.recording_manifest import RecordingError
from services.exchange_sim.bars import DEPTH, FANOUT, FIRST_TS, TRADES_A_MINUTE, BarTree, PlannedBar
from services.exchange_sim.generated import GeneratedHistory, GeneratedMarket
from services.exchange_sim.listing import Listing

VENUE = "binance"
_MINUTES = DEPTH["1m"]
_FIRST_MINUTE = FIRST_TS // MINUTE


class RecordedTree:
    """The plan of one instrument: `recorded` from minute `first` (counted from FIRST_TS) on, and the tree of its seed on both sides."""

    def __init__(self, around: BarTree, first: int, recorded: list[PlannedBar]):
        self._around = around
        self._first, self._end = first, first + len(recorded)
        self._recorded = recorded
        self._before = recorded[0].open / around.bar(_MINUTES, first - 1).close if first else 1.0
        self._after = recorded[-1].close / around.bar(_MINUTES, self._end).open
        self._joined: dict[tuple[int, int], PlannedBar] = {}

    def bar(self, depth: int, index: int) -> PlannedBar:
        """The bar number `index` at `depth`, as `BarTree.bar` counts them."""
        minutes = _minutes_of(depth)
        begin, end = index * minutes, (index + 1) * minutes
        if end <= self._first:
            return _scaled(self._around.bar(depth, index), self._before)
        if begin >= self._end:
            return _scaled(self._around.bar(depth, index), self._after)
        if depth == _MINUTES:
            return self._recorded[index - self._first]
        if (depth, index) not in self._joined:
            fanout = FANOUT[depth][1]
            self._joined[depth, index] = _joined([self.bar(depth + 1, index * fanout + n) for n in range(fanout)])
        return self._joined[depth, index]


def bars_market(folder: Path, seed: int, listings: dict[str, Listing], starts_at: int | None) -> GeneratedMarket:
    """The market of the one-minute bars in `folder`; instruments of `listings` without a file are generated. It begins at `starts_at` (ns),
    or with the first whole UTC day that every recorded instrument has.

    Raises:
        RecordingError: a file is not in order, or there is none that is wanted.
    """
    try:
        found = open_bars([folder], Told(assume_utc=True), frozenset({RepairKind.FILL_GAPS}))
    except (RefusedFile, OSError) as error:
        raise RecordingError(str(error)) from error
    series = {each.instrument: each for each in found if each.timeframe == "1m" and each.instrument in listings}
    if not series:
        wanted = ", ".join(listings)
        raise RecordingError(
            f"{folder}: no one-minute bars of {wanted}; BULKHEAD_SIM_INSTRUMENTS says what the venue lists"
        )
    first = max(each.first_ts_open for each in series.values())
    market = GeneratedMarket(seed, listings, -(-first // DAY) * DAY if starts_at is None else starts_at)
    for place, (instrument, listing) in enumerate(listings.items()):
        if instrument in series:
            tree = RecordedTree(BarTree(seed, instrument, listing), *_planned(series[instrument], listing))
            market.generated[instrument] = GeneratedHistory(seed, instrument, listing, place=place, tree=tree)
    market.histories = dict(market.generated)
    market.identity = {**market.identity, "market": "bars", "files": _named(series)}
    return market


def _planned(series: BarSeries, listing: Listing) -> tuple[int, list[PlannedBar]]:
    """The minute of the first bar, counted from FIRST_TS, and every bar."""
    bars = [
        PlannedBar(
            bar.open, bar.high, bar.low, bar.close, max(TRADES_A_MINUTE, round(bar.volume * listing.lots_per_unit))
        )
        for bar in bars_of(series, VENUE)
    ]
    first = series.first_ts_open // MINUTE - _FIRST_MINUTE
    if first < 0:
        raise RecordingError(
            f"{series.files[0]}: begins before 2017-01-02, where the time of this venue begins; cut it there"
        )
    return first, bars


def _named(series: dict[str, BarSeries]) -> str:
    return " ".join(f"{instrument}:{each.digest}" for instrument, each in sorted(series.items()))


def _minutes_of(depth: int) -> int:
    minutes = 1
    for _, fanout in FANOUT[depth:]:
        minutes *= fanout
    return minutes


def _scaled(bar: PlannedBar, factor: float) -> PlannedBar:
    return PlannedBar(bar.open * factor, bar.high * factor, bar.low * factor, bar.close * factor, bar.lots)


def _joined(parts: list[PlannedBar]) -> PlannedBar:
    return PlannedBar(
        parts[0].open,
        max(each.high for each in parts),
        min(each.low for each in parts),
        parts[-1].close,
        sum(each.lots for each in parts),
    )
