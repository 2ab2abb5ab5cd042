"""Is it better than chance? The same votes at other times, turned round, and the same stops at other distances.

Whoever was in a rising market half of the time made money. So what was voted is compared not with nothing but with votes that know as little as chance
can: the same stances in shuffled blocks, and the same spells in another order (as many entries, as long holdings, as much time in the market). Costs
are left out on both sides, so that it is a question about timing alone. The p-value is (1 + as good or better) / (1 + all), never zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from random import Random

import msgspec

from libs.research.validity.votes import Board, Series, Spells, spells_of
from libs.trading.quantiles import quantile

RUNS = 200
ENTRIES_MIN = 10
HELD_BARS_MAX = 2_000
RANGE_BARS = 50


class Null(msgspec.Struct, frozen=True, kw_only=True):
    """What chance came to in so many runs, and how often it was as good as what was seen. NaN and "": see `missing` for why there is none."""

    name: str
    observed: float = math.nan
    runs: int = 0
    mean: float = math.nan
    low: float = math.nan
    high: float = math.nan
    p: float = math.nan
    missing: str = ""


class Turned(msgspec.Struct, frozen=True):
    """Sharpe ratios a year before costs: of the votes, of being in whenever they are out, in where they say SHORT, and always in."""

    votes: float
    flipped: float
    short: float
    holding: float


class Placed(msgspec.Struct, frozen=True):
    """One entry at the open of bar `bar` of a series, with its stop and target as prices (target 0: none)."""

    instrument: str
    bar: int
    stop_px: float
    target_px: float


def shuffled(board: Board, runs: int, seed: int) -> Null:
    """Against the stances in blocks (as long as a spell on average) that were put into another order."""

    def draw(series: Series, random: Random) -> Spells:
        begins = min(len(series.stances), series.ready_from)
        mine = series.stances[begins:]
        length = max(1, round(len(mine) / max(1, 2 * len(series.spells()))))
        blocks = [mine[place : place + length] for place in range(0, len(mine), length)]
        random.shuffle(blocks)
        return spells_of([False] * begins + [stance == 1 for block in blocks for stance in block])

    return _against("the same stances in shuffled blocks", board, draw, runs, seed)


def random_entries(board: Board, runs: int, seed: int) -> Null:
    """Against the same holdings and the same waits between them, each in another order."""

    def draw(series: Series, random: Random) -> Spells:
        spells, begins = series.spells(), series.first
        edges = [begins, *(edge for spell in spells for edge in spell), len(series.opens)]
        waits = [edges[place + 1] - edges[place] for place in range(0, len(edges), 2)]
        holdings = [after - first for first, after in spells]
        random.shuffle(waits)
        random.shuffle(holdings)
        found, at = [], begins
        for wait, holding in zip(waits, holdings, strict=False):
            at += wait
            found.append((at, at + holding))
            at += holding
        return [(first, after) for first, after in found if first < len(series.opens)]

    return _against("the same holdings at random times", board, draw, runs, seed)


def turned(board: Board) -> Turned:
    """The votes, and what the opposite of them would have come to."""
    out: dict[str, Spells] = {}
    short: dict[str, Spells] = {}
    always: dict[str, Spells] = {}
    for each in board.series:
        begins = each.ready_from
        out[each.instrument] = spells_of([place >= begins and stance != 1 for place, stance in enumerate(each.stances)])
        short[each.instrument] = each.spells(-1)
        always[each.instrument] = [(each.first, len(each.opens))] if each.first < len(each.opens) else []
    return Turned(*(board.worth(spells).sharpe for spells in (None, out, short, always)))


def random_levels(series: Sequence[Series], entries: Sequence[Placed], runs: int, seed: int) -> Null:
    """Whether stops and targets stand at better places than others as far away: each entry gets the distances of another one, in ranges
    of the bars before it, and the mean result in R (what was risked) is compared. Where a bar reaches both, the stop was first.
    """
    name = "the same entries with stops and targets at random places"
    by_name = {each.instrument: each for each in series}
    known = [(by_name[each.instrument], each.bar, _distances(by_name[each.instrument], each)) for each in entries]
    usable = [(where, bar, found) for where, bar, found in known if found is not None]
    if len(usable) < ENTRIES_MIN:
        return Null(name=name, missing=f"it does not apply: {len(usable)} entries had a stop, fewer than {ENTRIES_MIN}")
    if len({(round(stop, 6), round(target, 6)) for _, _, (stop, target, _) in usable}) == 1:
        return Null(name=name, missing="it does not apply: all stops and targets are equally far")
    random = Random(f"levels {seed}")  # noqa: S311  a sample, not a secret
    seen = _mean([_in_r(where, bar, stop * unit, target * unit) for where, bar, (stop, target, unit) in usable])
    places = [(stop, target) for _, _, (stop, target, _) in usable]
    drawn = []
    for _ in range(runs):
        random.shuffle(places)
        drawn.append(
            _mean(
                [
                    _in_r(where, bar, stop * unit, target * unit)
                    for (where, bar, (_, _, unit)), (stop, target) in zip(usable, places, strict=True)
                ]
            )
        )
    return _null(name, seen, drawn)


def _against(name: str, board: Board, draw: Callable[[Series, Random], Spells], runs: int, seed: int) -> Null:
    seen = board.worth().sharpe
    if math.isnan(seen):
        return Null(name=name, missing="it does not apply: the votes never were LONG, or the history is too short")
    random = Random(f"{name} {seed}")  # noqa: S311
    drawn = [board.worth({each.instrument: draw(each, random) for each in board.series}).sharpe for _ in range(runs)]
    return _null(name, seen, [each for each in drawn if not math.isnan(each)])


def _null(name: str, seen: float, drawn: list[float]) -> Null:
    drawn.sort()
    as_good = sum(each >= seen - 1e-12 for each in drawn)
    return Null(
        name=name,
        observed=seen,
        runs=len(drawn),
        mean=_mean(drawn),
        low=quantile(drawn, 0.025),
        high=quantile(drawn, 0.975),
        p=(1 + as_good) / (1 + len(drawn)),
    )


def _distances(series: Series, entry: Placed) -> tuple[float, float, float] | None:
    """Stop and target below and above the entry, in mean ranges of the bars before it, and that range; None: there is no stop."""
    if not 0 < entry.bar < len(series.opens):
        return None
    px, begins = series.opens[entry.bar], max(0, entry.bar - RANGE_BARS)
    ranges = [series.highs[place] - series.lows[place] for place in range(begins, entry.bar)]
    unit = _mean(ranges)
    if not (unit > 0 and 0 < entry.stop_px < px):
        return None
    return (px - entry.stop_px) / unit, max(0.0, entry.target_px - px) / unit, unit


def _in_r(series: Series, bar: int, stop: float, target: float) -> float:
    """What an entry with its stop and target so far away comes to, in what it risked."""
    px = series.opens[bar]
    floor, ceiling = px - stop, px + target if target > 0 else math.inf
    last = min(len(series.opens), bar + HELD_BARS_MAX)
    for place in range(bar, last):
        if series.lows[place] <= floor:
            return (min(floor, series.opens[place]) - px) / stop
        if series.highs[place] >= ceiling:
            return (max(ceiling, series.opens[place]) - px) / stop
    return (series.closes[last - 1] - px) / stop


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan
