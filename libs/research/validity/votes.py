"""What an agent's votes were worth by themselves: LONG is all in, anything else is out, from the open of the next bar on.

This is not the full backtest, in which a portfolio sizes, a gate refuses and stops rest at the venue. It is the question before it: is there anything
in the opinions? It is asked thousands of times (shuffled, on noise, later, dearer), so it is plain arithmetic over spells: a spell is entered at the
open of one bar and left at the open of another, at the paper venue's own prices (half spread, slippage, square-root impact) and fee, which of a buy is
taken in what was bought. What it leaves out of the venue's rules: ticks and steps of quantity, and the cap on the share of a bar's volume.

Each instrument has an equal share of the money and keeps what it makes of it. A short stance is out: on a spot market nobody can be short.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import pairwise

import msgspec

from libs.common.timeframe import DAY
from libs.research.validity.ahead import Beside, nobody
from libs.research.validity.telling import Candidate, Market, honest, signals_of
from libs.trading.fill_model import BP, FillModel
from libs.trading.performance import YEAR, deviation

STANCES = {"LONG": 1, "FLAT": 0, "SHORT": -1}

Spells = Sequence[tuple[int, int]]
"""Stretches of being in the market, in order: entered at the open of bar `first`, left at the open of bar `after`; `after` may be the
number of bars (never left)."""


class Costs(msgspec.Struct, frozen=True):
    """What a taker pays: `fee` as a fraction, the rest in basis points of the price (`libs.trading.fill_model`)."""

    fee: float = 0.0
    flat_bps: float = 0.0
    impact_bps: float = 0.0

    @classmethod
    def of(cls, model: FillModel, fee: float) -> Costs:
        """Those of a fill model on bars."""
        return cls(fee, float(model.half_spread_bps + model.slip_bps), float(model.impact_bps))

    def times(self, factor: float) -> Costs:
        """All of it, so many times as dear."""
        return Costs(self.fee * factor, self.flat_bps * factor, self.impact_bps * factor)

    def share(self, qty: float, volume: float) -> float:
        """The fraction of the price that taking `qty` costs beside the fee."""
        impact = self.impact_bps * math.sqrt(qty / volume if volume > 0 else 1.0) if self.impact_bps else 0.0
        return (self.flat_bps + impact) * float(BP)


FREE = Costs()


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """The bars of one instrument and what was voted at their closes: 1 LONG, 0 FLAT, -1 SHORT; `ready_from` is the first bar with a vote
    that was ready (the number of bars: none)."""

    instrument: str
    opens: list[float]
    highs: list[float]
    lows: list[float]
    closes: list[float]
    volumes: list[float]
    ends: list[int]
    stances: list[int]
    ready_from: int

    def spells(self, wanted: int = 1) -> list[tuple[int, int]]:
        """Where this stance held: from the bar after the one at whose close it was said."""
        return spells_of([stance == wanted for stance in self.stances])

    @property
    def first(self) -> int:
        """The first bar that could have been entered."""
        return min(len(self.opens), self.ready_from + 1)


class Filled(msgspec.Struct, frozen=True):
    """One buy (`qty` > 0) or sale at the open of a bar; `fee` in base currency of a buy, in quote currency of a sale."""

    bar: int
    qty: float
    px: float
    fee: float


class Worth(msgspec.Struct, frozen=True, kw_only=True):
    """What spells came to: returns per step of the board, round trips, the share of bars in the market, growth in all.

    `sharpe` is per year of 365 days; NaN where the market was never entered.
    """

    returns: list[float]
    trips: int
    exposure: float
    growth: float
    sharpe: float


class Board(msgspec.Struct, frozen=True, kw_only=True):
    """Series side by side, with the instants at which they are valued, and for each series the bar that is then the last one closed."""

    series: tuple[Series, ...]
    step: int
    instants: list[int]
    places: tuple[list[int], ...]

    def worth(
        self,
        spells: Mapping[str, Spells] | None = None,
        *,
        costs: Costs = FREE,
        cash: float = 1.0,
        delay: int = 0,
    ) -> Worth:
        """What these spells (those voted, if none are given) were worth, entered and left `delay` bars later."""
        total = [0.0] * len(self.instants)
        trips = held = bars = 0
        for series, places in zip(self.series, self.places, strict=True):
            mine = series.spells() if spells is None else spells[series.instrument]
            if delay:
                mine = later(mine, delay, len(series.opens))
            fills = fills_of(series, mine, costs, cash / len(self.series))
            for row, value in enumerate(valued(series, fills, places, cash / len(self.series))):
                total[row] += value
            trips += len(mine)
            held += sum(after - first for first, after in mine)
            bars += len(series.opens) - series.first
        returns = [after / before - 1.0 for before, after in pairwise(total)]
        spread = deviation(returns) if trips else math.nan
        mean = math.fsum(returns) / len(returns) if returns else math.nan
        ratio = mean / spread * math.sqrt(YEAR * DAY / self.step) if spread > 0 else math.nan
        return Worth(
            returns=returns,
            trips=trips,
            exposure=held / bars if bars else 0.0,
            growth=total[-1] / total[0] if total else 1.0,
            sharpe=ratio,
        )

    @property
    def days(self) -> float:
        """How long it is."""
        return (len(self.instants) - 1) * self.step / DAY


def votes_of(candidate: Candidate, market: Market, beside: Beside = nobody) -> tuple[Series, ...]:
    """Live through the history once and note what was voted at each close; a vote stands until the next one."""
    found: dict[str, Series] = {}
    for instant in market.instants:
        for bar in instant.bars:
            series = found.get(bar.instrument) or found.setdefault(bar.instrument, _empty(bar.instrument))
            for column, value in (
                (series.opens, bar.open),
                (series.highs, bar.high),
                (series.lows, bar.low),
                (series.closes, bar.close),
                (series.volumes, bar.volume),
                (series.ends, bar.ts_close),
            ):
                column.append(value)
    said = _votes(candidate, market, beside)
    return tuple(_voted(series, said.get(name, [])) for name, series in found.items())


def board_of(series: Sequence[Series], step: int = DAY) -> Board:
    """The board of these series, valued each `step` (ns) from the first ready vote on.

    Raises:
        ValueError: nobody was ever ready.
    """
    begins = [each.ends[each.ready_from] for each in series if each.ready_from < len(each.ends)]
    if not begins:
        raise ValueError("no vote was ever ready")
    start = -(-min(begins) // step) * step
    end = max(each.ends[-1] for each in series) // step * step
    instants = list(range(start, end + 1, step))
    places = tuple([bisect_right(each.ends, at) - 1 for at in instants] for each in series)
    return Board(series=tuple(series), step=step, instants=instants, places=places)


def spells_of(flags: Sequence[bool]) -> list[tuple[int, int]]:
    """The spells of flags that are known at the closes of bars: each begins a bar later, at an open."""
    found: list[tuple[int, int]] = []
    count, began = len(flags), -1
    for place, flag in enumerate(flags, start=1):
        if flag and began < 0:
            began = place
        elif not flag and began >= 0:
            found.append((began, place))
            began = -1
    if began >= 0:
        found.append((began, count))
    return [(first, after) for first, after in found if first < count]


def later(spells: Spells, bars: int, count: int) -> list[tuple[int, int]]:
    """The spells so many bars later."""
    return [(first + bars, min(count, after + bars)) for first, after in spells if first + bars < count]


def fills_of(series: Series, spells: Spells, costs: Costs, cash: float) -> list[Filled]:
    """The trades that follow, all in and all out."""
    found = []
    count = len(series.opens)
    for first, after in spells:
        opens = series.opens[first]
        volume, bought = series.volumes[first], cash / opens
        for _ in range(2):  # how much can be had depends on the price, and the price on how much
            px = opens * (1.0 + costs.share(bought, volume))
            bought = cash / px
        fee = bought * costs.fee
        found.append(Filled(first, bought, px, fee))
        if after >= count:
            break
        sold = bought - fee
        opens = series.opens[after]
        px = opens * max(0.0, 1.0 - costs.share(sold, series.volumes[after]))
        fee = sold * px * costs.fee
        cash = sold * px - fee
        found.append(Filled(after, -sold, px, fee))
    return found


def valued(series: Series, fills: Sequence[Filled], places: Sequence[int], cash: float) -> list[float]:
    """What cash and holding were worth at the closes of the bars at `places` (-1: before the first)."""
    values, number, held = [], 0, 0.0
    for place in places:
        while number < len(fills) and fills[number].bar <= place:
            fill = fills[number]
            if fill.qty > 0:
                held, cash = fill.qty - fill.fee, cash - fill.qty * fill.px
            else:
                held, cash = 0.0, cash - fill.qty * fill.px - fill.fee
            number += 1
        values.append(cash + held * series.closes[place] if held else cash)
    return values


def _votes(candidate: Candidate, market: Market, beside: Beside) -> dict[str, list[tuple[int, int, bool]]]:
    """(instant, stance, whether it was ready) by instrument."""
    found: dict[str, list[tuple[int, int, bool]]] = {}
    for _, now, told in signals_of(candidate, honest(market, candidate.hears, beside())):
        for signal in told.signals:
            stance = STANCES[signal.stance] if signal.ready else 0
            found.setdefault(signal.instrument, []).append((now, stance, signal.ready))
    return found


def _voted(series: Series, said: Sequence[tuple[int, int, bool]]) -> Series:
    stances: list[int] = []
    ready_from, number, stance = len(series.ends), 0, 0
    for place, ends in enumerate(series.ends):
        while number < len(said) and said[number][0] <= ends:
            _, stance, ready = said[number]
            if ready and ready_from > place:
                ready_from = place
            number += 1
        stances.append(stance)
    return msgspec.structs.replace(series, stances=stances, ready_from=ready_from)


def _empty(instrument: str) -> Series:
    return Series(
        instrument=instrument,
        opens=[],
        highs=[],
        lows=[],
        closes=[],
        volumes=[],
        ends=[],
        stances=[],
        ready_from=0,
    )
