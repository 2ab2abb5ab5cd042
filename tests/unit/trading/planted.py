"""Series with a known truth: a price that bounces between planted levels, and a random walk that has none.

A planted series walks from turn to turn. A turn lies on a planted level (with jitter), or, now and then, anywhere (a decoy); a
level that does not hold is passed. Between turns the price drifts with noise and stays inside, so that the turns are where they were
put. Everything is in units of about one ATR; `random.Random(seed)` decides, so a seed is the whole series. `scored` holds what was
said of such series against their truth, `moved` makes the placebo of it.
"""

from __future__ import annotations

import math
import random
from typing import NamedTuple

HOUR_NS = 3_600_000_000_000
MATCH_ATR = 0.25
TOUCHES_MIN = 4


class Row(NamedTuple):
    """One bar of a made-up series; `ts` is its end, ns."""

    ts: int
    high: float
    low: float
    close: float
    volume: float


class Planted(NamedTuple):
    """A series and the truth about it: the levels' prices and how often the price really turned at each."""

    rows: list[Row]
    levels: list[float]
    touches: list[int]


def planted(
    seed: int, *, bars: int = 1500, count: int = 6, jitter: float = 0.1, decoys: float = 0.2, hold: float = 0.75
) -> Planted:
    """`bars` bars that turn at `count` levels. `jitter` is the turn's spread (ATR), `decoys` and `hold` are shares of turns."""
    rng = random.Random(seed)
    unit, base = 10.0 ** rng.uniform(-2, 1), 0.0
    base = unit * rng.uniform(100, 400)
    levels = [base]
    while len(levels) < count:
        levels.append(levels[-1] + unit * rng.uniform(4.5, 8.0))
    touches = [0] * count
    rows: list[Row] = []
    px, rising = levels[0], True
    while len(rows) < bars:
        target, touched = _next_turn(rng, levels, px, rising, unit, decoys, hold)
        target += unit * jitter * rng.gauss(0, 1) if touched is not None else 0.0
        if abs(target - px) > 3.5 * unit and (target > px) == rising:
            if touched is not None:
                touches[touched] += 1
            rows += _leg(rng, px, target, unit, len(rows))
            px = target
        rising = not rising
    return Planted(rows[:bars], levels, touches)


def _next_turn(
    rng: random.Random, levels: list[float], px: float, rising: bool, unit: float, decoys: float, hold: float
) -> tuple[float, int | None]:
    """Where the leg from `px` ends: at a level ahead that holds, or anywhere before the last one."""
    ahead = [
        place for place, level in enumerate(levels) if (level - px > 4 * unit if rising else px - level > 4 * unit)
    ]
    if not ahead:
        return px, None
    ahead.sort(key=lambda place: abs(levels[place] - px))
    if rng.random() < decoys:
        return px + (levels[ahead[-1]] - px) * rng.uniform(0.0, 1.0), None
    for place in ahead[:-1]:
        if rng.random() < hold:
            return levels[place], place
    return levels[ahead[-1]], ahead[-1]


def _leg(rng: random.Random, start: float, end: float, unit: float, begun: int) -> list[Row]:
    """The bars of one move, from just after its start to the very turn; their true range is about one `unit`."""
    steps = max(4, round(abs(end - start) / (0.45 * unit)))
    lo, hi = min(start, end), max(start, end)
    noise, closes = 0.0, []
    for step in range(1, steps + 1):
        noise = 0.6 * noise + rng.gauss(0, 0.3 * unit)
        share = step / steps
        closes.append(min(hi, max(lo, start + (end - start) * share + noise * (1 - share) * min(1.0, 4 * share))))
    closes[-1] = end - math.copysign(0.25 * unit, end - start)
    rows, last = [], start
    for step, close in enumerate(closes):
        up, down = abs(rng.gauss(0, 0.35 * unit)), abs(rng.gauss(0, 0.35 * unit))
        high, low = min(hi, max(last, close) + up), max(lo, min(last, close) - down)
        if step == steps - 1:
            high, low = (end, low) if end > start else (high, end)
        rows.append(Row((begun + step + 1) * HOUR_NS, high, low, close, abs(rng.gauss(1, 0.3)) * (high - low) / unit))
        last = close
    return rows


def walk(seed: int, *, bars: int = 1500) -> list[Row]:
    """A geometric random walk: whatever level is found in it is none."""
    rng = random.Random(seed)
    px = 10.0 ** rng.uniform(-1, 4)
    rows = []
    for place in range(bars):
        path = [px]
        for _ in range(8):
            path.append(path[-1] * math.exp(rng.gauss(0, 0.0025)))
        px = path[-1]
        rows.append(Row((place + 1) * HOUR_NS, max(path), min(path), px, abs(rng.gauss(1, 0.3))))
    return rows


class Said(NamedTuple):
    """What was said of a series: the prices of its levels, and the ATR in which they are compared with its truth."""

    truth: Planted
    atr: float
    pxs: list[float]


class Score(NamedTuple):
    """The share of the `wanted` levels (those touched often enough) that was found, and the share of what was said that is true."""

    recall: float
    precision: float
    wanted: int


def scored(said: list[Said]) -> Score:
    """Recall and precision over all series."""
    wanted = found = told = right = 0
    for truth, atr, pxs in said:
        for level, touches in zip(truth.levels, truth.touches, strict=True):
            if touches >= TOUCHES_MIN:
                wanted += 1
                found += any(abs(px - level) <= MATCH_ATR * atr for px in pxs)
        told += len(pxs)
        right += sum(any(abs(px - level) <= MATCH_ATR * atr for level in truth.levels) for px in pxs)
    return Score(found / wanted, right / told, wanted)


def moved(said: list[Said], rng: random.Random) -> list[Said]:
    """Random levels at the same distances: each series' levels, moved together by a random part of its range."""
    result = []
    for truth, atr, pxs in said:
        low, high = min(row.low for row in truth.rows), max(row.high for row in truth.rows)
        by = rng.uniform(0, high - low)
        result.append(Said(truth, atr, [low + (px - low + by) % (high - low) for px in pxs]))
    return result
