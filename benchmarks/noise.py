"""What the validity suite says where the truth is known: nothing on noise, a leak, a planted edge, and the best of many tries.

    python -m benchmarks.noise [--runs 100] [--seed 1]        docs/proof/noise.txt; some five minutes of one core

Two years each, at the paper venue's realistic costs (a fee of 10 bp and what `REALISTIC_BARS` takes). The leak's ratio is shown here and nowhere else:
`bulkhead validate` computes none of a candidate that looks ahead.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from libs.research.validity.ahead import looked_ahead
from libs.research.validity.chance import random_entries
from libs.research.validity.noise import (
    CARRIED,
    Noise,
    momentum,
    noise_market,
    noise_of,
    on_noise,
    planted_edge,
    sd_of,
    series_of,
)
from libs.research.validity.telling import Candidate, Market
from libs.research.validity.votes import Board, Costs, Series, board_of
from libs.runtime.plugin import load_plugin
from libs.trading.fill_model import REALISTIC_BARS
from libs.trading.indicators import EMA
from libs.trading.performance import YEAR, deflated, expected_best, moments, psr
from services.signal_agents.trend.machine import TrendMachine
from services.signal_agents.trend.settings import Settings as TrendSettings
from tests.plugins import NOT_CLOSED, NOT_ONCE, changed, plugin_file

COSTS = Costs.of(REALISTIC_BARS, 0.001)
CASH = 100_000.0
DAYS = 730
PX, VOLUME = 30_000.0, 200.0
FASTS = (2, 3, 5, 8, 10, 13, 16, 20)
SLOWS = (10, 20, 30, 40, 60, 80, 100)
PAIRS = [(fast, slow) for fast in FASTS for slow in SLOWS if slow > fast][:47]


def breakout(text: str, name: str = "breakout.py", **settings: object) -> Candidate:
    """The template of `bulkhead strategy new`, with some of its words changed."""
    with TemporaryDirectory() as folder:
        plugin = load_plugin(str(plugin_file(Path(folder), text, name)))
    told = plugin.machine_class.Settings(**settings)
    return Candidate(
        name=plugin.agent_id,
        make=lambda: plugin.machine_class(told),
        hears=plugin.contract.consumes,
        code_digest=plugin.version,
        settings_digest="-",
    )


def trend(timeframe: str) -> Candidate:
    """The trend agent of the system, on one timeframe."""
    told = TrendSettings(trend_timeframes=(timeframe,)).machine()
    hears = breakout(changed()).hears
    return Candidate(name="trend", make=lambda: TrendMachine(told), hears=hears, code_digest="-", settings_digest="-")


def agents_on_noise(runs: int, seed: int) -> Iterable[tuple[str, Noise]]:
    """Two real agents on hours."""
    for candidate in (breakout(changed(), timeframe="1h"), trend("1h")):
        yield (
            candidate.name,
            on_noise(
                candidate,
                base="1h",
                bars=DAYS * 24,
                runs=runs,
                seed=seed,
                costs=COSTS,
                cash=CASH,
                px=PX,
                volume=VOLUME,
            ),
        )


def rule_on_noise(base: str, bars: int, runs: int, seed: int, rule: Callable[[Market], list[Series]]) -> Noise:
    """A rule that is no agent, on the same noise."""
    before, after = [], []
    for number in range(runs):
        market = noise_market(f"noise {seed} {number}", base, bars, sd=sd_of(base), px=PX, volume=VOLUME)
        board = board_of(rule(market))
        before.append(board.worth().sharpe)
        after.append(board.worth(costs=COSTS, cash=CASH).sharpe)
    return noise_of(before, after, runs=runs, bars=bars, years=DAYS / YEAR)


def best_of_many(sets: int, seed: int) -> str:
    """The best of many EMA pairs on noise, a set of them at a time: what PSR says of it, and what DSR does."""
    best, lucky, deflated_too = [], 0, 0
    for number in range(sets):
        market = noise_market(f"pairs {seed} {number}", "1d", DAYS, sd=sd_of("1d"), px=PX, volume=VOLUME)
        found = [moments(_pair_board(market, fast, slow).worth().returns) for fast, slow in PAIRS]
        ratios = [each.sharpe for each in found]
        mean = math.fsum(ratios) / len(ratios)
        variance = math.fsum((each - mean) ** 2 for each in ratios) / (len(ratios) - 1)
        chosen = max(found, key=lambda each: each.sharpe)
        best.append(chosen.sharpe * math.sqrt(YEAR))
        lucky += psr(chosen) > 0.95
        deflated_too += deflated(chosen, len(PAIRS), variance) > 0.95
        assert expected_best(len(PAIRS), variance) > 0
    return (
        f"best of {len(PAIRS)} EMA pairs on {sets} noise markets of {DAYS} days: mean Sharpe ratio {math.fsum(best) / sets:.2f},"
        f" highest {max(best):.2f}; PSR above 95 % in {lucky} of {sets}, DSR above 95 % in {deflated_too} of {sets}"
    )


def _pair_board(market: Market, fast: int, slow: int) -> Board:
    quick, lazy = EMA(fast), EMA(slow)
    bars = [instant.bars[0] for instant in market.instants]
    stances = []
    for bar in bars:
        one, other = quick.update(bar.close), lazy.update(bar.close)
        stances.append(1 if one is not None and other is not None and one > other else 0)
    return board_of([series_of(bars, stances, ready_from=max(SLOWS))])


def line_of(name: str, noise: Noise) -> str:
    """Noise runs in a line."""
    return (
        f"{name}: {noise.runs} runs of {noise.bars:,} bars, {noise.silent} without a trade; mean Sharpe ratio before costs {noise.mean.value:+.3f}"
        f" [{noise.mean.low:+.3f}, {noise.mean.high:+.3f}], sd {noise.sd:.2f} (theory {noise.sd_expected:.2f}), {noise.beyond:.1%} beyond 1.96;"
        f" after costs {noise.mean_after_costs:+.2f}; {'zero' if noise.is_honest else 'NOT ZERO'} at 99.9 %"
    )


def leak_line() -> str:
    """What is said of the agent that believes bars before they close: where it was caught, and no ratio."""
    ahead = looked_ahead(
        breakout(changed(NOT_CLOSED, NOT_ONCE), timeframe="1h"), noise_market("leak", "1h", 2_000, sd=sd_of("1h"))
    )
    where = (
        "NOT caught"
        if ahead.leak is None
        else f"caught ({ahead.leak.kind}) at event {ahead.leak.event} of {ahead.rows}"
    )
    return f"an agent that believes bars before they close: {where}, before anything of it was computed"


def edge_lines(runs: int, seed: int) -> Sequence[str]:
    """Planted edges, and whether each was found."""
    found = [planted_edge(seed + number) for number in range(runs)]
    mean = math.fsum(each.sharpe for each in found) / runs
    daily, seen = [], 0
    for number in range(runs):
        market = noise_market(f"edge {seed} {number}", "1d", DAYS, sd=sd_of("1d"), carried=CARRIED)
        board = board_of(momentum(market))
        daily.append(board.worth().sharpe)
        seen += random_entries(board, 100, number).p <= 0.05
    return (
        f"planted AR(1) {CARRIED}, hours: found in {sum(each.is_found for each in found)} of {runs} (p <= 5 % against random entries);"
        f" mean Sharpe ratio before costs {mean:+.2f}",
        f"planted AR(1) {CARRIED}, days: found in {seen} of {runs}; mean Sharpe ratio before costs {math.fsum(daily) / runs:+.2f}",
    )


def main() -> None:
    """Print everything, a line each."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    began = time.monotonic()
    print(
        f"noise: seed {args.seed}, two years each, {COSTS.fee * 1e4:.0f} bp fee and the realistic fill model",
        flush=True,
    )
    for name, noise in agents_on_noise(args.runs, args.seed):
        print(line_of(f"agent {name}, 1h", noise), flush=True)
    for base, bars in (("1h", DAYS * 24), ("1d", DAYS)):
        print(
            line_of(
                f"a rule that follows the last bar, {base}", rule_on_noise(base, bars, args.runs, args.seed, momentum)
            ),
            flush=True,
        )
    print(leak_line(), flush=True)
    for base, bars in (("1h", DAYS * 24), ("1d", DAYS)):
        leak = rule_on_noise(base, bars, min(20, args.runs), args.seed, lambda market: momentum(market, ahead=1))
        print(line_of(f"for contrast, a rule that knows the next bar, {base}", leak), flush=True)
    for line in edge_lines(min(20, args.runs), args.seed):
        print(line, flush=True)
    print(best_of_many(args.runs, args.seed), flush=True)
    print(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
