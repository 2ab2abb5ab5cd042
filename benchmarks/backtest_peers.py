"""What a bar costs in a backtest: the whole system beside the engines people use, on the same bars, with the same strategy, in turns.

    python -m benchmarks.backtest_peers [--bars 500000] [--rounds 3] [--seed 7] [--envs .bulkhead-peers] [--engines bulkhead,backtesting]

SMA 20/50 cross on closes, all in or flat, market orders at the next open, 0.1 % fee, no other cost, one instrument, seeded one-minute bars. Each engine is
a script in `benchmarks/peers` and runs in a process and an environment of its own, made on demand from a lock file with hashes (Python 3.11; the first time takes
minutes). Rates are bars per CPU second of the run itself, medians over the rounds; start-up is the CPU time before it: imports, reading the file,
settings. Trades are compared bar by bar with a plain loop (`plain_loop.py`), equity with that loop under the engine's own way to take fees.

Prints a table, then JSON. `--memory` measures instead how our peak memory grows with bars and with instruments.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.bar_series import write_csv

ROOT = Path(__file__).resolve().parents[1]
PEERS = ROOT / "benchmarks" / "peers"
REFERENCE = "plain loop"
OURS = "bulkhead"


class Engine(msgspec.Struct, frozen=True, kw_only=True):
    """One script, what it needs (`lock`; "": only us), and how the plain loop must count fees to count as it does
    (`fee_step`: the steps that commissions are booked in)."""

    name: str
    script: str
    lock: str = ""
    fee_in: str = "quote"
    fee_step: str = "0"
    note: str = ""


ENGINES = (
    Engine(
        name=OURS,
        script="bulkhead_run",
        fee_in="reserved",
        fee_step="1e-8",
        note="agent, portfolio, gate, executor, venue, ledger; commissions are booked in steps of 1e-8",
    ),
    Engine(name="venue only", script="bar_venue_run", fee_in="base", note="our paper venue, driven by the rule itself"),
    Engine(name="backtesting", script="backtesting_run", lock="backtesting"),
    Engine(name="nautilus", script="nautilus_run", lock="nautilus", note="fills at the close that decided"),
    Engine(name="freqtrade", script="freqtrade_run", lock="freqtrade", fee_in="on-top", note="invests the fee as well"),
    Engine(name="backtrader", script="backtrader_run", lock="backtrader"),
    Engine(name="vectorbt", script="vectorbt_run", lock="vectorbt", note="vectorised, warm: no events"),
    Engine(name=REFERENCE, script="plain_loop", note="no engine"),
)


class Stand:
    """The folder of the bars, the environments, and what was measured."""

    def __init__(self, folder: Path, envs: Path, bars: int, seed: int):
        self.file = folder / "BTCUSDT-1m.csv"
        self.folder, self._envs = folder, envs
        write_csv(self.file, bars, seed)

    def python(self, engine: Engine) -> str:
        """The interpreter that has what `engine` needs; made on first use.

        Raises:
            CalledProcessError: it cannot be installed.
        """
        if not engine.lock:
            return sys.executable
        lock, home = PEERS / f"{engine.lock}.lock", self._envs / engine.lock
        stamp, wanted = home / ".installed", hashlib.blake2b(lock.read_bytes(), digest_size=16).hexdigest()
        python = home / "bin" / "python"
        if not stamp.exists() or stamp.read_text() != wanted:
            print(f"installing {engine.name} into {home} (once; minutes) ...", file=sys.stderr)
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True)  # noqa: S603
            install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r"]
            subprocess.run([str(python), *install, str(lock)], check=True)  # noqa: S603
            stamp.write_text(wanted)
        return str(python)

    def run(self, engine: Engine, *told: str) -> dict[str, Any]:
        """One run; `places` are the bars at whose open it traded, in turn."""
        places = self.folder / "places.json"
        places.unlink(missing_ok=True)
        env = {name: value for name, value in os.environ.items() if not name.startswith("BULKHEAD_")}
        if engine.lock:
            env.pop("PYTHONPATH", None)
        else:
            env["PYTHONPATH"] = str(ROOT)
        command = [self.python(engine), str(PEERS / f"{engine.script}.py"), str(self.file), "--trades", str(places)]
        done = subprocess.run([*command, *told], env=env, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            raise SystemExit(f"{engine.name} ended with {done.returncode}:\n{done.stderr[-2000:]}")
        line: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
        line["places"] = json.loads(places.read_text())
        return line


def installed(stand: Stand, engines: list[Engine]) -> list[Engine]:
    """Those of the engines that can be had here; of the others it is said that they are left out."""
    found = []
    for engine in engines:
        try:
            stand.python(engine)
        except subprocess.CalledProcessError as error:
            print(f"left out: {engine.name} does not install (it needs Python 3.11): {error}", file=sys.stderr)
        else:
            found.append(engine)
    return found


def measured(stand: Stand, engines: list[Engine], rounds: int) -> dict[str, list[dict[str, Any]]]:
    """Every engine so many times, in turns that begin elsewhere each round."""
    found: dict[str, list[dict[str, Any]]] = {engine.name: [] for engine in engines}
    for number in range(rounds):
        start = number * len(engines) // rounds
        for engine in [*engines[start:], *engines[:start]]:
            line = stand.run(engine)
            found[engine.name].append(line)
            print(f"round {number + 1}: {engine.name} {line['bars_per_cpu_s']:,} bars/CPU s", file=sys.stderr)
    return found


def compared(stand: Stand, engines: list[Engine], found: dict[str, list[dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """The medians, and how each engine's trades and equity differ from the plain loop's."""
    reference = next(engine for engine in ENGINES if engine.name == REFERENCE)
    ways = sorted({(engine.fee_in, engine.fee_step) for engine in engines})
    loops = {way: stand.run(reference, "--fee-in", way[0], "--fee-step", way[1]) for way in ways}
    result = {}
    for engine in engines:
        lines, loop = found[engine.name], loops[engine.fee_in, engine.fee_step]
        last = lines[-1]
        rows = {name: statistics.median(line[name] for line in lines) for name in ("bars_per_cpu_s", "start_up_cpu_s")}
        ratios = [
            ours["bars_per_cpu_s"] / line["bars_per_cpu_s"]
            for ours, line in zip(found.get(OURS, []), lines, strict=False)
        ]
        result[engine.name] = {
            **rows,
            "peak_rss_mb": max(line["peak_rss_mb"] for line in lines),
            "orders": last["orders"],
            "same_bars": last["places"] == loop["places"],
            "equity": last["equity"],
            "fee_in": engine.fee_in,
            "loop_equity": loop["equity"],
            "equity_off": last["equity"] / loop["equity"] - 1,
            "bulkhead_times": statistics.median(ratios) if ratios else None,
            "spread": [min(line["bars_per_cpu_s"] for line in lines), max(line["bars_per_cpu_s"] for line in lines)],
        }
    return result


def table(engines: list[Engine], result: dict[str, dict[str, Any]]) -> str:
    """The same for people."""
    head = ("engine", "bars/CPU s", "ours x", "start-up", "RSS MB", "orders", "same bars", "equity", "fee", "off loop")
    lines = [head]
    for engine in engines:
        row = result[engine.name]
        times = row["bulkhead_times"]
        lines.append(
            (
                engine.name,
                f"{row['bars_per_cpu_s']:,.0f}",
                f"{times:.3f}" if times is not None else "",
                f"{row['start_up_cpu_s']:.1f} s",
                f"{row['peak_rss_mb']:.0f}",
                f"{row['orders']:,}",
                "yes" if row["same_bars"] else "NO",
                f"{row['equity']:.6f}",
                row["fee_in"],
                f"{row['equity_off']:+.1e}",
            )
        )
    widths = [max(len(line[place]) for line in lines) for place in range(len(head))]
    texts = ["  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
    notes = [f"{engine.name}: {engine.note}" for engine in engines if engine.note]
    return "\n".join([*texts, "", *notes])


def remembered(stand: Stand, bars: int, seed: int) -> dict[str, Any]:
    """Our peak memory by bars and by instruments."""
    found = {}
    names = ("ETHUSDT", "SOLUSDT", "ADAUSDT")
    for number, name in enumerate(names):
        write_csv(stand.folder / f"{name}-1m.csv", bars // 5, seed + number + 1)
    others = [str(stand.folder / f"{name}-1m.csv") for name in names]
    for label, told in (
        ("1 instrument, a fifth of the bars", ["--limit", str(bars // 5)]),
        ("1 instrument, all bars", []),
        ("4 instruments, a fifth of the bars each", ["--limit", str(bars // 5), "--also", *others]),
    ):
        line = stand.run(ENGINES[0], *told)
        found[label] = {
            name: line[name] for name in ("bars", "orders", "peak_rss_mb", "rss_before_mb", "bars_per_cpu_s")
        }
    return found


def main() -> None:
    """Print a table and one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bars", type=int, default=500_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--envs", type=Path, default=ROOT / ".bulkhead-peers", help="where the engines are installed")
    parser.add_argument("--engines", default=",".join(engine.name for engine in ENGINES))
    parser.add_argument("--memory", action="store_true", help="measure our memory instead")
    told = parser.parse_args()
    wanted = told.engines.split(",")
    engines = [engine for engine in ENGINES if engine.name in wanted]
    if unknown := set(wanted) - {engine.name for engine in engines}:
        parser.error(f"no engine is called {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory(prefix="bulkhead-bench-") as folder:
        stand = Stand(Path(folder), told.envs, told.bars, told.seed)
        if told.memory:
            print(json.dumps(remembered(stand, told.bars, told.seed), indent=1))
            return
        engines = installed(stand, engines)
        found = measured(stand, engines, told.rounds)
        result = compared(stand, engines, found)
    print(table(engines, result))
    print(json.dumps({"bars": told.bars, "rounds": told.rounds, "seed": told.seed, "engines": result}, indent=1))


if __name__ == "__main__":
    main()
