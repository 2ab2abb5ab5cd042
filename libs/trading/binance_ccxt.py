"""How to point the unmodified `ccxt.pro.binance` at a venue that is not binance.com, and at its clock.

Only settings, no subclass: what works here is what ccxt does in production. Without the overrides below ccxt would also ask for futures,
margin pairs and currencies, take spot frames for swap frames, and lose its table of spot errors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from libs.trading.public_ccxt import goodbye

PRODUCTION_URL = "https://api.binance.com"
PRODUCTION_SOCKETS_URL = "wss://stream.binance.com:9443"
RECV_WINDOW_MS = 5000
KEEP_ALIVE_MS = 10_000
TRADES_LIMIT = 100_000


def ccxt_config(base_url: str, key: str = "", secret: str = "") -> dict[str, Any]:
    """The constructor argument of `ccxt.pro.binance` for the venue at `base_url` ("http://127.0.0.1:8123"; "": binance.com itself).

    Without a key only public calls work. The first call imports ccxt, which costs half a second.
    """
    import ccxt  # here, because whoever only names this module must not pay for the import

    credentials = {"apiKey": key, "secret": secret} if key else {}
    return {
        **credentials,
        **(_addresses(base_url.rstrip("/")) if base_url else {}),
        "options": {
            "defaultType": "spot",
            "fetchMarkets": {"types": ["spot"]},
            "fetchCurrencies": False,
            "fetchMargins": False,
            "tradesLimit": TRADES_LIMIT,
            "recvWindow": RECV_WINDOW_MS,
            "ws": {"cost": 0},
        },
        "streaming": {"keepAlive": KEEP_ALIVE_MS},
        "exceptions": {"exact": ccxt.binance().exceptions["spot"]["exact"]},
        **goodbye(base_url),
    }


def _addresses(rest: str) -> dict[str, Any]:
    sockets = "ws" + rest.removeprefix("http")
    return {
        "urls": {
            "api": {
                "public": f"{rest}/api/v3",
                "private": f"{rest}/api/v3",
                "v1": f"{rest}/api/v1",
                "sapi": f"{rest}/sapi/v1",
                "ws": {
                    "spot": f"{sockets}/stream/ws",  # ccxt knows spot frames by "/stream" in the address
                    "ws-api": {"spot": f"{sockets}/ws-api/v3"},
                },
            }
        }
    }


def follow_clock(exchange: Any, now_ns: Callable[[], int]) -> None:
    """Let `exchange` stamp its signed requests with `now_ns`, so that a venue in its own time accepts them.

    A caller whose clock is not the venue's adds what it has measured: ccxt's own `load_time_difference` knows wall time only.
    """
    exchange.nonce = lambda: now_ns() // 1_000_000
