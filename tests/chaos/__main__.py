"""`make chaos`: the long form. Lock-step equality over six hours of market, then free-running kills on two markets, then every
named incident of the execution edge (`--incidents`: those alone)."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.chaos.backtested import differences_to_backtest
from tests.chaos.books import differences, outcome_of
from tests.chaos.free import FreeRun
from tests.chaos.incidents import run_incidents
from tests.chaos.lockstep import BEGIN, INSTRUMENTS, MARKET_SEED, LockStep, everybody
from tests.chaos.report import replayed
from tests.chaos.stack import DECIDING, NATS, ChaosStack

RECORDED = Path(os.environ.get("BULKHEAD_DATA_DIR", Path(__file__).parents[3] / "shared" / "data")) / "binance_spot_raw"
HASH_SEEDS = ("0", "4711")


@contextmanager
def _timed(what: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    print(f"{what}: {time.monotonic() - began:.0f} s", flush=True)


async def _proof(stack: ChaosStack) -> bool:
    """Replay the log under two values of PYTHONHASHSEED."""
    reports = [await replayed(stack, seed) for seed in HASH_SEEDS]
    for seed, found in zip(HASH_SEEDS, reports, strict=True):
        shown = {name: found[name] for name in ("events", "taken_as_input", "verified", "mismatch_count", "digest")}
        print(f"  replay under PYTHONHASHSEED={seed}: {shown}", flush=True)
    return all(each["mismatch_count"] == 0 for each in reports) and reports[0]["digest"] == reports[1]["digest"]


async def lock_step(
    folder: Path, minutes: int, kills: int, server_kills: int, seed: int, *, only_calm: bool = False
) -> bool:
    """The same market with and without kills, and as a backtest (`only_calm`: without kills and as a backtest)."""
    calm = LockStep(folder / "calm", minutes, seed=seed)
    with _timed(f"undisturbed run of {minutes} market minutes"):
        undisturbed = await calm.run()
    parted = differences_to_backtest(calm.stack.entries, MARKET_SEED, INSTRUMENTS, BEGIN)
    counts = {name: len(getattr(undisturbed, name)) for name in undisturbed.__struct_fields__}
    print(f"  undisturbed: {counts}", flush=True)
    print("  a backtest of it: " + ("equal" if not parted else "DIFFERENT\n" + "\n".join(parted)), flush=True)
    if only_calm:
        return not parted
    stormy = LockStep(folder / "stormy", minutes, seed=seed, kills=everybody(kills, server_kills))
    with _timed("the same with kills"):
        disturbed = await stormy.run()
    print(f"  killed: {stormy.stack.kills}", flush=True)
    counts = {name: len(getattr(disturbed, name)) for name in disturbed.__struct_fields__}
    print(f"  compared: {counts}", flush=True)
    found = differences(undisturbed, disturbed)
    print("  equal" if not found else "  DIFFERENT\n" + "\n".join(found), flush=True)
    return not found and not parted and await _proof(stormy.stack)


async def free_running(folder: Path, kills: int, server_kills: int, seed: int, **env: str) -> bool:
    """A market that does not wait."""
    run = FreeRun(folder, seed=seed, kills={**dict.fromkeys(DECIDING, kills), NATS: server_kills}, pause_s=3.0, **env)
    with _timed(f"free-running {env}"):
        await run.run(run_on_s=15.0)
    told = outcome_of(run.stack.entries, run.account)
    print(f"  killed: {run.stack.kills}; stopped in {run.seconds_to_stop:.1f} s", flush=True)
    print(
        f"  the books equal the venue: {len(told.intents)} intents, {len(told.fills)} fills, {len(told.postings)} postings"
    )
    return await _proof(run.stack)


async def _drills(given: argparse.Namespace) -> bool:
    held = True
    with tempfile.TemporaryDirectory(prefix="bulkhead-chaos-") as name:
        folder = Path(name)
        held &= await lock_step(
            folder, given.minutes, given.kills, given.server_kills, given.seed, only_calm=given.backtest
        )
        if given.backtest:
            return held
        held &= await free_running(
            folder / "free", given.kills, given.server_kills, given.seed, BULKHEAD_SIM_SPEED="20"
        )
        if RECORDED.is_dir():
            recorded = {"BULKHEAD_SIM_SPEED": "20", "BULKHEAD_SIM_DATA": str(RECORDED)}
            held &= await free_running(folder / "recorded", given.kills, given.server_kills, given.seed, **recorded)
        else:
            print(f"no recorded frames at {RECORDED}: that run is left out (set BULKHEAD_DATA_DIR)")
    return held


def _main() -> int:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--minutes", type=int, default=360)
    parser.add_argument("--kills", type=int, default=10, help="of every service")
    parser.add_argument("--server-kills", type=int, default=5, help="of nats-server")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--backtest", action="store_true", help="only: the live stack in lock-step equals a backtest")
    parser.add_argument("--incidents", action="store_true", help="the named incidents only")
    parser.add_argument("--short", action="store_true", help="the incidents in their short form")
    given = parser.parse_args()
    held = given.incidents or asyncio.run(_drills(given))
    held &= given.backtest or run_incidents(long=not given.short)
    print("everything held" if held else "NOT everything held")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(_main())
