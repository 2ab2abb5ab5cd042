"""What a model does to a rule's profit, on synthetic markets whose truth is known: python -m benchmarks.leash [--seeds 12] [--bars 3000]

Each bar goes up or down by one unit with a drift that two hidden signals explain; the rule sees the first, the model the second, or nothing,
or it lies. Columns are ways of listening to it. The rule enters LONG for one bar where it thinks up; profit is size x move, without costs.
Everything but the market is the project's own: joining, leash, scorebook.

    rule alone      the model is not there
    naive mean      enter while the mean of both votes is up, at full size: what many bots do
    confirm, tilt   the leash (docs/portfolio.md)
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from random import Random
from typing import Literal

import msgspec

from libs.common.messages import EntryJudged
from services.signal_agents.portfolio.entering import MODEL_ID
from services.signal_agents.portfolio.joining import Voice
from services.signal_agents.portfolio.leash import Grip, Standing, size_factor
from services.signal_agents.portfolio.scorebook import Scorebook, Vote

BAR = 900_000_000_000
BARS = "X-USDT 15m"
RULE_EDGE, MODEL_EDGE = 0.30, 0.25
"""How strongly each hidden signal moves the log odds of the next bar."""

Soul = Literal["knows nothing", "knows something", "lies from the start", "turns after two thirds"]
SOULS: tuple[Soul, ...] = ("knows nothing", "knows something", "lies from the start", "turns after two thirds")
WAYS = ("rule alone", "naive mean", "confirm", "tilt")


class World(msgspec.Struct, frozen=True):
    """One bar: what the rule and the model say (+1 up, -1 down), and what came."""

    rule: int
    model: int
    move: int


def world(soul: Soul, bars: int, seed: int) -> list[World]:
    """A market and its two witnesses."""
    random = Random(f"{soul} {seed}")  # noqa: S311  a market, not a secret
    found = []
    for bar in range(bars):
        first, second = random.choice((-1, 1)), random.choice((-1, 1))
        odds = RULE_EDGE * first + MODEL_EDGE * second
        move = 1 if random.random() < 1 / (1 + math.exp(-odds)) else -1
        lies = soul == "lies from the start" or (soul == "turns after two thirds" and bar >= bars * 2 // 3)
        knows = soul in ("knows something", "turns after two thirds")
        model = -first if lies else second if knows else random.choice((-1, 1))
        found.append(World(first, model, move))
    return found


def earned(bars: list[World], way: str) -> tuple[float, float]:
    """Profit and largest drawdown."""
    size_of = _sizes(way)
    total = peak = drawdown = 0.0
    for number, each in enumerate(bars, 1):
        total += size_of(number, each) * each.move
        peak = max(peak, total)
        drawdown = max(drawdown, peak - total)
    return total, drawdown


def _sizes(way: str) -> Callable[[int, World], float]:
    if way == "rule alone":
        return lambda _, each: float(each.rule > 0)
    if way == "naive mean":
        return lambda _, each: float(each.rule + each.model > 0) if each.rule != each.model else float(each.rule > 0)
    book, grip = Scorebook(), Grip(mode="tilt" if way == "tilt" else "confirm", veto_p=0.6)
    prices = [100.0]

    def size(number: int, each: World) -> float:
        book.closed(BARS, number * BAR, prices[-1], BAR)
        book.vote(BARS, number * BAR, Vote(agent_id="rule", is_model=False, side=each.rule, p=0.57), number * BAR)
        book.vote(BARS, number * BAR, Vote(agent_id=MODEL_ID, is_model=True, side=each.model, p=0.56), number * BAR)
        prices.append(prices[-1] * (1 + 0.001 * each.move))
        if each.rule < 0:
            return 0.0
        if book.is_disproved(MODEL_ID):
            return 1.0
        standing = Standing(max(0.0, book.stack.weight(MODEL_ID)), book.has_earned(MODEL_ID))
        voice = Voice(agent_id="rule", stance="LONG", strength=0.35, weight=book.weight("rule"), age=0)
        return size_factor(_judged(each.model), grip, standing, [voice], BAR)

    return size


def _judged(side: int) -> EntryJudged:
    return EntryJudged(
        proposal_id="",
        instrument="X-USDT",
        outcome="JUDGED",
        failure="",
        expects="up" if side > 0 else "down",
        p=0.56,
        evidence=(),
        why="",
        flags=(),
        case_id="",
        key="",
        model="",
    )


def main() -> None:
    """Print the table: mean profit and mean largest drawdown over the seeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--bars", type=int, default=3000)
    told = parser.parse_args()
    print(f"{told.bars} bars, {told.seeds} seeds; profit / largest drawdown, in moves of full size")
    print(f"{'the model':24}" + "".join(f"{way:>18}" for way in WAYS))
    for soul in SOULS:
        cells = []
        for way in WAYS:
            found = [earned(world(soul, told.bars, seed), way) for seed in range(told.seeds)]
            profit, drawdown = (sum(part) / told.seeds for part in zip(*found, strict=True))
            cells.append(f"{profit:9.0f} /{drawdown:4.0f}")
        print(f"{soul:24}" + "".join(f"{cell:>18}" for cell in cells))


if __name__ == "__main__":
    main()
