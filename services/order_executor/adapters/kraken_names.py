"""Kraken's names of instruments and assets, and ours: BTC-USDT is XBTUSDT in requests, BTC/USDT on the sockets, XXBT an asset.

Of its oldest pairs Kraken shows sometimes the short name (XBTEUR) and sometimes the id (XXBTZEUR); both are known here.
"""

from __future__ import annotations

from collections.abc import Iterable

_ALIASES = {"BTC": "XBT", "DOGE": "XDG"}
_ORIGINALS = {alias: name for name, alias in _ALIASES.items()}
_PREFIXED = (
    "XBT",
    "ETH",
    "LTC",
    "XRP",
    "XDG",
    "ETC",
    "MLN",
    "REP",
    "XLM",
    "XMR",
    "ZEC",
    "EUR",
    "USD",
    "GBP",
    "CAD",
    "JPY",
    "AUD",
)
_FIAT = ("EUR", "USD", "GBP", "CAD", "JPY", "AUD")


def pair_of(instrument: str) -> str:
    """Kraken's name in requests: BTC-USDT is XBTUSDT."""
    return "".join(_ALIASES.get(part, part) for part in instrument.split("-"))


def socket_symbol_of(instrument: str) -> str:
    """Kraken's name on its sockets: BTC-USDT is BTC/USDT."""
    return instrument.replace("-", "/")


def asset_of(shown: str) -> str:
    """Our name of an asset: XXBT is BTC, ZUSD is USD; what earns ("XBT.F") keeps its suffix, for it cannot be sold as it is."""
    name, dot, suffix = shown.partition(".")
    if len(name) == 4 and name[0] in "XZ" and name[1:] in _PREFIXED:
        name = name[1:]
    return _ORIGINALS.get(name, name) + dot + suffix


def by_pair(instruments: Iterable[str]) -> dict[str, str]:
    """Ours by every name that Kraken may have for them."""
    found = {}
    for instrument in instruments:
        base, quote = (_ALIASES.get(part, part) for part in instrument.split("-"))
        long_base, long_quote = f"X{base}", f"{'Z' if quote in _FIAT else 'X'}{quote}"
        for pair in (f"{base}{quote}", f"{base}/{quote}", f"{long_base}{long_quote}", socket_symbol_of(instrument)):
            found[pair] = instrument
    return found
