"""Our names of instruments (`BTC-USDT`) and Binance's (`BTCUSDT`)."""

from __future__ import annotations

QUOTE_ASSETS = ("USDT", "USDC", "FDUSD", "EUR", "BTC", "ETH", "BNB")


def symbol_of(instrument: str) -> str:
    """Binance's name: BTC-USDT is BTCUSDT."""
    return instrument.replace("-", "")


def instrument_of(symbol: str) -> str | None:
    """Our name of Binance's `symbol`, or None when its quote asset is not one we know."""
    upper = symbol.upper()
    for quote in QUOTE_ASSETS:
        if upper.endswith(quote) and len(upper) > len(quote):
            return f"{upper.removesuffix(quote)}-{quote}"
    return None
