"""freqtrade: its backtesting class with a strategy file, stake "unlimited", one trade at a time.

    python freqtrade_run.py BARS.csv

It wants an exchange's list of markets before it starts; that list is written here, and nothing is asked of any exchange. It stakes all the
cash and takes the fee of an entry off what the trade earned, so a little more than the cash is invested (`plain_loop.py --fee-in on-top` counts so).
A trade that is open in the end is closed at the last close, fee included.
"""

from __future__ import annotations

import logging
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from freqtrade.data.history import get_timerange
from freqtrade.enums import RunMode
from freqtrade.optimize.backtesting import Backtesting
from freqtrade.resolvers import ExchangeResolver
from measured import Run, arguments, columns

PAIR = "BTC/USDT"
MINUTE_MS = 60_000
MARKET: dict[str, Any] = {
    "id": "BTCUSDT",
    "symbol": PAIR,
    "base": "BTC",
    "quote": "USDT",
    "spot": True,
    "margin": False,
    "swap": False,
    "future": False,
    "option": False,
    "contract": False,
    "active": True,
    "type": "spot",
    "linear": None,
    "inverse": None,
    "contractSize": None,
    "precision": {"amount": 1e-8, "price": 1e-6},
    "limits": {name: {"min": None, "max": None} for name in ("amount", "price", "cost", "leverage")},
    "info": {},
}


def configured(folder: Path, cash: float, fee: float) -> dict[str, Any]:
    """What a user's file of settings would say."""
    return {
        "runmode": RunMode.BACKTEST,
        "dry_run": True,
        "dry_run_wallet": cash,
        "stake_currency": "USDT",
        "stake_amount": "unlimited",
        "tradable_balance_ratio": 1.0,
        "max_open_trades": 1,
        "timeframe": "1m",
        "fee": fee,
        "trading_mode": "spot",
        "margin_mode": "",
        "exchange": {"name": "binance", "pair_whitelist": [PAIR], "pair_blacklist": []},
        "pairlists": [{"method": "StaticPairList"}],
        "entry_pricing": {"price_side": "other", "use_order_book": False},
        "exit_pricing": {"price_side": "other", "use_order_book": False},
        "user_data_dir": folder,
        "datadir": folder,
        "dataformat_ohlcv": "feather",
        "dataformat_trades": "feather",
        "strategy": "SmaCross",
        "strategy_path": str(Path(__file__).with_name("freqtrade_strategy")),
        "recursive_strategy_search": False,
        "export": "none",
        "backtest_cache": "none",
        "enable_protections": False,
    }


def write_feather(bars: dict[str, Any], folder: Path) -> None:
    """The bars in the file that it reads."""
    frame = pd.DataFrame({name: np.frombuffer(bars[name]) for name in ("open", "high", "low", "close", "volume")})
    frame.insert(0, "date", pd.to_datetime(np.frombuffer(bars["timestamp"], dtype="int64"), unit="ms", utc=True))
    frame.to_feather(folder / "BTC_USDT-1m.feather", compression="lz4")


def main() -> None:
    """Print one line of JSON."""
    told = arguments(__doc__)
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bars = columns(told.file, told.limit)
        write_feather(bars, folder)
        config = configured(folder, told.cash, told.fee)
        exchange = ExchangeResolver.load_exchange(config, validate=False)
        exchange._markets = {PAIR: MARKET}
        exchange._last_markets_refresh = int(time.time() * 1000) * 2  # never again
        test = Backtesting(config, exchange)
        data, timerange = test.load_bt_data()
        get_timerange(data)
        with Run() as run:
            test.backtest_one_strategy(test.strategylist[0], data, timerange)
        results = test.all_bt_content["SmaCross"]
    trades, begin = results["results"], bars["timestamp"][0]
    places = sorted(
        (int(each.timestamp() * 1000) - begin) // MINUTE_MS
        for name in ("open_date", "close_date")
        for each in trades[name]
    )
    run.report(
        told,
        engine="freqtrade",
        bars=len(bars["close"]),
        orders=len(places),
        equity=float(results["final_balance"]),
        places=places,
    )


if __name__ == "__main__":
    main()
