"""The strategy as freqtrade wants it."""

from __future__ import annotations

from typing import Any, ClassVar

from freqtrade.strategy import IStrategy
from pandas import DataFrame


class SmaCross(IStrategy):
    """Long while the fast average is above the slow one; no target, no stop that could be reached."""

    INTERFACE_VERSION = 3
    timeframe = "1m"
    can_short = False
    minimal_roi: ClassVar[dict[str, float]] = {"0": 1000.0}
    stoploss = -0.99
    startup_candle_count = 0
    use_exit_signal = True
    order_types: ClassVar[dict[str, Any]] = {
        "entry": "market",
        "exit": "market",
        "stoploss": "market",
        "stoploss_on_exchange": False,
    }

    def populate_indicators(self, dataframe: DataFrame, metadata: dict[str, Any]) -> DataFrame:
        """The averages."""
        dataframe["fast"] = dataframe["close"].rolling(20).mean()
        dataframe["slow"] = dataframe["close"].rolling(50).mean()
        return dataframe

    def populate_entry_trend(self, dataframe: DataFrame, metadata: dict[str, Any]) -> DataFrame:
        """Where it wants to be long."""
        dataframe.loc[dataframe["fast"] > dataframe["slow"], "enter_long"] = 1
        return dataframe

    def populate_exit_trend(self, dataframe: DataFrame, metadata: dict[str, Any]) -> DataFrame:
        """Where it does not."""
        dataframe.loc[~(dataframe["fast"] > dataframe["slow"]), "exit_long"] = 1
        return dataframe
