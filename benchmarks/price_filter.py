"""What the price filter lets through and locks out, beside two filters people write themselves, on the same seeded markets.

    python -m benchmarks.price_filter [--seeds 50]        prints JSON

* `clean`, `wild`: honest fat-tailed prints (Student t, 3 degrees, five a second, 70 % and 700 % a year): the share rejected.
* `misprints`: 400 prints 8 to 50 % off among honest ones: how many were believed, and how far the trusted price ever was from the honest one.
* `crash`: -20 % in a minute with three air pockets of 3 %: seconds from the market's own price being below a stop at -10 % to the stop
  seeing it (the protective price).
* `step`: -12 % in one print, which stays: seconds until the trusted price is there.

The peers: `reject_5pc` believes what is within 5 % of what it believed last; `hampel` what is within 3 scaled MADs of its last 30 believed prints.
"""

from __future__ import annotations

import argparse
import json
import random
from statistics import median
from typing import Protocol

from libs.common.timeframe import MILLISECOND, SECOND
from services.market_feed.doubt import SanityLimits
from services.market_feed.sanity import PriceFilter
from tests.unit.market_feed.prints import ticks, trade_at
from tests.unit.market_feed.tape import T0
from tests.unit.market_feed.test_sanity import crash

LOCKED_OUT_S = 60.0


class Filter(Protocol):
    """What is compared: prints in, a trusted price and one for stops out."""

    px: float
    protective: float
    rejected: int

    def take(self, px: float, now: int, number: int) -> None:
        """A print."""


class Ours:
    """The feed's filter."""

    def __init__(self) -> None:
        self._filter = PriceFilter(SanityLimits())
        self.rejected = 0
        self._looked_at = 0

    @property
    def px(self) -> float:
        return self._filter.px

    @property
    def protective(self) -> float:
        return self._filter.protective

    def look(self, now: int) -> None:
        self.rejected += len(self._filter.look(now).rejected)

    def take(self, px: float, now: int, number: int) -> None:
        self.rejected += len(self._filter.trade(trade_at(now, number, px), now).rejected)


class RejectFivePercent:
    """Believes what is near."""

    def __init__(self) -> None:
        self.px = self.protective = 0.0
        self.rejected = 0

    def look(self, now: int) -> None:
        """Time means nothing to it."""

    def take(self, px: float, now: int, number: int) -> None:
        if self.px and abs(px / self.px - 1) > 0.05:
            self.rejected += 1
            return
        self.px = self.protective = px


class Hampel:
    """Believes what is within three scaled MADs of its last thirty."""

    def __init__(self) -> None:
        self.px = self.protective = 0.0
        self.rejected = 0
        self._last: list[float] = []

    def look(self, now: int) -> None:
        """Time means nothing to it."""

    def take(self, px: float, now: int, number: int) -> None:
        if len(self._last) >= 30:
            middle = median(self._last)
            mad = 1.4826 * median(abs(each - middle) for each in self._last)
            if abs(px - middle) > 3 * max(mad, 1e-9 * middle):
                self.rejected += 1
                return
        self._last = [*self._last[-29:], px]
        self.px = self.protective = px


FILTERS = {"ours": Ours, "reject_5pc": RejectFivePercent, "hampel": Hampel}


def clean(make: type, seeds: int, vol_year: float) -> float:
    total = rejected = 0
    for seed in range(seeds):
        belief, now = make(), T0
        for number, (wait_ms, px) in enumerate(ticks(seed, 2_000, vol_year)):
            now += int(wait_ms * MILLISECOND)
            belief.look(now)
            belief.take(px, now, number)
        total, rejected = total + 2_000, rejected + belief.rejected
    return round(rejected / total, 6)


def misprints(make: type, seed: int = 7) -> dict[str, float]:
    chance, belief, now, worst, planted = random.Random(seed), make(), T0, 0.0, 0  # noqa: S311
    for number, (wait_ms, px) in enumerate(ticks(seed, 6_000)):
        if number > 600 and planted < 400 and chance.random() < 0.11:
            planted += 1
            belief.take(px * (1 + chance.choice((-1, 1)) * chance.uniform(0.08, 0.5)), now, 100_000 + number)
            worst = max(worst, abs(belief.px / px - 1), abs(belief.protective / px - 1))
        now += int(wait_ms * MILLISECOND)
        belief.look(now)
        belief.take(px, now, number)
        if number > 600:
            worst = max(worst, abs(belief.px / px - 1), abs(belief.protective / px - 1))
    return {"planted": planted, "worst_error": round(worst, 5)}


def settled(make: type, seed: int) -> tuple[object, int, int]:
    belief, now = make(), T0
    for number, (wait_ms, px) in enumerate(ticks(seed, 600)):
        now += int(wait_ms * MILLISECOND)
        belief.look(now)
        belief.take(px, now, number)
    return belief, now, 600


def falls(make: type, seeds: int, *, is_step: bool) -> dict[str, float]:
    waits, never = [], 0
    for seed in range(seeds):
        belief, now, number = settled(make, seed)
        start, chance = belief.px, random.Random(seed)  # type: ignore[attr-defined]  # noqa: S311
        stop = start * (0.89 if is_step else 0.9)
        steady = [(chance.expovariate(5.0) * 1000, 88.0 * (1 + chance.gauss(0, 0.0002))) for _ in range(300)]
        passed = seen = None
        for wait_ms, share in steady if is_step else crash(seed):
            until, px = now + int(wait_ms * MILLISECOND), share * start / 100
            while now < until:
                now = min(until, now + 50 * MILLISECOND)
                belief.look(now)  # type: ignore[attr-defined]
                watched = belief.px if is_step else belief.protective  # type: ignore[attr-defined]
                seen = now if seen is None and passed is not None and watched <= stop else seen
            passed = now if passed is None and px <= stop else passed
            number += 1
            belief.take(px, now, number)  # type: ignore[attr-defined]
            watched = belief.px if is_step else belief.protective  # type: ignore[attr-defined]
            seen = now if seen is None and passed is not None and watched <= stop else seen
        if passed is not None and seen is not None:
            waits.append((seen - passed) / SECOND)
        else:
            never += 1
    return {
        "median_s": round(median(waits), 3) if waits else LOCKED_OUT_S,
        "max_s": round(max(waits, default=LOCKED_OUT_S), 3),
        "never": never,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=50)
    seeds = parser.parse_args().seeds
    found = {
        name: {
            "clean": clean(make, seeds, 0.7),
            "wild": clean(make, seeds, 7.0),
            "misprints": misprints(make),
            "crash": falls(make, seeds, is_step=False),
            "step": falls(make, seeds, is_step=True),
        }
        for name, make in FILTERS.items()
    }
    print(json.dumps({"seeds": seeds, "filters": found}, indent=2))


if __name__ == "__main__":
    main()
