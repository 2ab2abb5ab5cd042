"""How to point the unmodified `ccxt.pro.kraken` and `ccxt.pro.kucoin` at a server that is not theirs; keys are the caller's to add.

Only settings, no subclass, as in `binance_ccxt`. Both venues live on one server, under the prefixes /kraken and /kucoin.
"""

from __future__ import annotations

from typing import Any

KUCOIN_URL = "https://api.kucoin.com"
KEEP_ALIVE_MS = 10_000
TRADES_LIMIT = 100_000


def kraken_config(base_url: str) -> dict[str, Any]:
    """The constructor argument of `ccxt.pro.kraken` for the server at `base_url` ("http://127.0.0.1:8123"; "": the venue itself).

    Calls are kept to ccxt's one a second, which is what Kraken grants; messages on the sockets are not slowed.
    """
    rest, sockets = _addresses(base_url, "kraken")
    streams = {
        "public": sockets,
        "private": sockets,
        "publicV2": f"{sockets}/v2",  # ccxt pings in the words of v2 when it finds "v2" in the address
        "privateV2": f"{sockets}/v2",
    }
    return {
        **({"urls": {"api": {"public": rest, "private": rest, "ws": streams}}} if base_url else {}),
        "options": {"tradesLimit": TRADES_LIMIT, "ws": {"cost": 0}},
        "enableRateLimit": True,
        "streaming": {"keepAlive": KEEP_ALIVE_MS},
        **goodbye(base_url),
    }


def kucoin_config(base_url: str) -> dict[str, Any]:
    """The constructor argument of `ccxt.pro.kucoin` for the server at `base_url` ("http://127.0.0.1:8123"; "": the venue itself).

    Without these options ccxt would also ask for futures, and for the modes of an account. Where the streams are, and how often to
    ping them, is the server's answer to bullet-public; the keep-alive here only serves until then.
    """
    rest, sockets = _addresses(base_url, "kucoin")
    names = ("public", "private", "futuresPublic", "futuresPrivate", "webExchange", "broker", "earn", "uta", "utaV2")
    streams = {name: f"{sockets}/endpoint" for name in ("spot", "futures", "private")}
    return {
        **({"urls": {"api": {**dict.fromkeys((*names, "utaPrivate"), rest), "ws": streams}}} if base_url else {}),
        "options": {
            "uta": False,
            "hf": True,
            "defaultType": "spot",
            "fetchMarkets": {"types": ["spot"], "fetchTickersFees": True},
            "tradesLimit": TRADES_LIMIT,
            "ws": {"cost": 0},
        },
        "enableRateLimit": True,
        "streaming": {"keepAlive": KEEP_ALIVE_MS},
        **goodbye(base_url),
    }


def goodbye(base_url: str) -> dict[str, Any]:
    """How long `close` of a client stands still for its connections to end: by ccxt's own choice a quarter of a second, which TLS may need.

    Without TLS there is nothing to wait for.
    """
    return {"timeout_on_exit": 0} if base_url.startswith("http://") else {}


def _addresses(base_url: str, venue: str) -> tuple[str, str]:
    """Where REST and the sockets of `venue` are."""
    root = base_url.rstrip("/")
    return f"{root}/{venue}", f"ws{root.removeprefix('http')}/{venue}"
