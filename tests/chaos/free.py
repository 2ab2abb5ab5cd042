"""Free-running: the market does not wait for anybody. Kill for a while, let things settle, and hold the books against the venue."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from random import Random

from tests.chaos.books import faults_against
from tests.chaos.report import NOTIONAL_MIN, account_of
from tests.chaos.stack import ChaosStack

DEV = {
    "BULKHEAD_EXEC_CRASH_STARTS_MAX": "1000",
    "BULKHEAD_EXEC_LOSSES_IN_A_ROW_MAX": "0",
    "BULKHEAD_TREND_TIMEFRAMES": "1m",
    "BULKHEAD_TREND_EMA_FAST_SPAN": "5",
    "BULKHEAD_TREND_EMA_SLOW_SPAN": "15",
    "BULKHEAD_TREND_WILDER_N": "7",
    "BULKHEAD_TREND_ADX_THRESHOLD": "10",
    "BULKHEAD_PORTFOLIO_EXIT_FLAT_BARS": "2",
    "BULKHEAD_PORTFOLIO_STOP_ATR": "6",
}
SETTLE_S_MAX = 60.0


class FreeRun:
    """One run at SPEED with kills at random moments."""

    def __init__(self, home: Path, *, seed: int, kills: dict[str, int], pause_s: float, **env: str):
        self.stack = ChaosStack(home, **{**DEV, **env})
        self._random = Random(seed)
        self._kills = kills
        self._pause_s = pause_s

    async def run(self, run_on_s: float = 5.0) -> None:
        """Trade for a while, kill in random order, run on undisturbed for a while, and compare books and venue until they agree.

        Raises:
            AssertionError: they do not agree within a minute.
        """
        await self.stack.start()
        try:
            await asyncio.sleep(run_on_s)
            victims = [name for name, times in self._kills.items() for _ in range(times)]
            self._random.shuffle(victims)
            for name in victims:
                await asyncio.sleep(self._random.uniform(0.0, self._pause_s))
                await self.stack.until(lambda name=name: self.stack.kill(name), 60, f"a running {name} to kill")
            await self.stack.all_live()
            await asyncio.sleep(run_on_s)
            await self._agree()
        finally:
            self.seconds_to_stop = await self.stack.stop()

    async def _agree(self) -> None:
        """Trading goes on while we look, so a moment of disagreement is none: what matters is that it ends."""
        end = time.monotonic() + SETTLE_S_MAX
        while True:
            account = await account_of(self.stack)
            await asyncio.sleep(0.7)  # what the venue has done must have reached the books by now
            specs = dict.fromkeys(account["px"], NOTIONAL_MIN)
            again = await account_of(self.stack)
            moved = again["fills"] != account["fills"] or again["orders"] != account["orders"]
            found = [] if moved else faults_against(self.stack.entries, again, specs)
            if not found and not moved:
                self.account = again
                return
            assert time.monotonic() < end, "\n".join(found or ["the venue's account never stood still"])
