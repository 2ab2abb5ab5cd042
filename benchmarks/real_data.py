"""What the rules would have made of recorded markets, as `bulkhead backtest` tells it: commands and their answers, nothing left out.

    python -m benchmarks.real_data [--data FOLDER]

The folder holds recorded market data (BULKHEAD_DATA_DIR): one-minute bars of four instruments of early 2025, and daily and hourly bars of 2014 to
2020. Nothing was tuned on them: settings are those of a deployment, but for the timeframes that bars of this length need, and the weekly regime where
the history is shorter than the weeks it wants. Every run counts as a trial of its study, in a database that begins empty.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

MAIN = "from services.cli.app import main; main()"
DAILY = ("BULKHEAD_TREND_TIMEFRAMES=1d", "BULKHEAD_RISK_BAR_TIMEFRAME=1d", "BULKHEAD_RISK_CORRELATION_TIMEFRAME=1d")
NO_WEEKS = ("BULKHEAD_RISK_MACRO=false", "BULKHEAD_PORTFOLIO_REGIMES=false")
RUNS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("ohlcv_1m", ("--assume-utc", "--study", "minutes"), ("BULKHEAD_TREND_TIMEFRAMES=15m,1h", *NO_WEEKS)),
    ("ohlcv_1m", ("--assume-utc", "--study", "minutes"), ("BULKHEAD_TREND_TIMEFRAMES=1h", *NO_WEEKS)),
    (
        "ohlcv_long/bitstamp__BTC_ETH_LTC_USD_d.csv.gz",
        ("--assume-utc", "--repair", "allow-gaps", "--study", "days", "--sensitivity"),
        (*DAILY, *NO_WEEKS),
    ),
    (
        "ohlcv_long/bitstamp__BTC_ETH_LTC_USD_d.csv.gz",
        ("--assume-utc", "--repair", "allow-gaps", "--study", "days"),
        DAILY,
    ),
    (
        "ohlcv_long/Coinbase_BTCUSD_1h.csv.gz",
        ("--repair", "sort", "--study", "hours"),
        ("BULKHEAD_TREND_TIMEFRAMES=1h,4h", "BULKHEAD_RISK_BAR_TIMEFRAME=1h"),
    ),
)


def run(data: Path, home: str, place: str, options: tuple[str, ...], sets: tuple[str, ...]) -> str:
    """One command as a person would type it, and what it answered."""
    words = [*options, *(word for each in sets for word in ("--set", each))]
    command = [sys.executable, "-c", MAIN, "backtest", str(data / place), *words]
    environment = {**os.environ, "BULKHEAD_HOME": home}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603  our own
    answer = (done.stdout + done.stderr).replace(str(data), "$BULKHEAD_DATA_DIR")
    return f"$ bulkhead backtest $BULKHEAD_DATA_DIR/{place} {' '.join(words)}\n{answer}"


def main() -> int:
    """Print them all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.real_data", description=__doc__)
    beside = Path(__file__).parents[2] / "shared" / "data"
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("BULKHEAD_DATA_DIR", beside)))
    given = parser.parse_args()
    if not given.data.is_dir():
        print(f"no recorded market data at {given.data}; set BULKHEAD_DATA_DIR", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="bulkhead-real-data-") as home:
        for each in RUNS:
            print(run(given.data, home, *each), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
