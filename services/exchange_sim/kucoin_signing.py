"""Who may ask KuCoin for the account: key, signature, passphrase and time stamp, with the key and the rights of the Binance side.

Signed is `timestamp + METHOD + path with query + body`, HMAC-SHA256 by the secret, in base64; the passphrase is sent as its own HMAC.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from aiohttp import web

from services.exchange_sim.clock import AHEAD_MS_MAX, VenueClock
from services.exchange_sim.kucoin_rest import KucoinRefusal
from services.exchange_sim.signing import Gate

WINDOW_MS = 5000
HEADERS = ("KC-API-KEY", "KC-API-SIGN", "KC-API-TIMESTAMP", "KC-API-PASSPHRASE")
DENIED = "Access denied, require more permission."


class KucoinGate:
    """`gate` knows what the key may do, and how far the venue's clock is off."""

    def __init__(self, gate: Gate, key: str, secret: str, passphrase: str, clock: VenueClock):
        self.gate = gate
        self.key = key
        self._secret = secret.encode()
        self._passphrase = passphrase
        self._clock = clock
        self.token = f"private-{self._signed('token of the private streams')}"
        """What bullet-private hands out."""

    def open(self, request: web.Request, body: str, *, trading: bool = False) -> None:
        """Let a request pass; `trading` ones also want the right to trade.

        Raises:
            KucoinRefusal: 400001 (a header is missing), 400002 (time), 400003 (key), 400004 (passphrase), 400005 (signature), 400007.
        """
        key, signature, stamp, passphrase = (request.headers.get(name, "") for name in HEADERS)
        if not (key and signature and stamp and passphrase):
            raise KucoinRefusal("400001", "Please check the header of your request for KC-API-KEY, KC-API-SIGN", 401)
        if self.gate.rights.revoked or not self.key or not _same(key, self.key):
            raise KucoinRefusal("400003", "KC-API-KEY not exists", 401)
        self._check_time(stamp)
        payload = f"{stamp}{request.method}{self._path(request)}{body}"
        if not _same(signature, self._signed(payload)):
            raise KucoinRefusal("400005", "Invalid KC-API-SIGN", 401)
        if not self._passphrase or not _same(passphrase, self._signed(self._passphrase)):
            raise KucoinRefusal("400004", "Invalid KC-API-PASSPHRASE", 401)
        if trading and not self.gate.rights.trading:
            raise KucoinRefusal("400007", DENIED, 403)

    def _check_time(self, stamp: str) -> None:
        if not stamp.isdecimal():
            raise KucoinRefusal("400002", "KC-API-TIMESTAMP Invalid", 401)
        shown = int(stamp) - self.gate.skew_ms
        ahead = shown - int((WINDOW_MS - AHEAD_MS_MAX) * max(1.0, self._clock.speed))
        if self._clock.is_ahead(ahead) or self._clock.is_behind(shown, WINDOW_MS):
            raise KucoinRefusal("400002", "KC-API-TIMESTAMP Invalid", 401)

    def _path(self, request: web.Request) -> str:
        """The path as KuCoin has it: without our prefix."""
        return request.raw_path.removeprefix("/kucoin")

    def _signed(self, text: str) -> str:
        return base64.b64encode(hmac.new(self._secret, text.encode(), hashlib.sha256).digest()).decode()


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
