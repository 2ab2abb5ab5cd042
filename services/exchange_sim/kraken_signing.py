"""Who may ask Kraken's side for the account: key, API-Sign and nonce, checked as Kraken checks them, and the tokens of its sockets.

API-Sign is base64(HMAC-SHA512(path + SHA256(nonce + body))) with the secret, which is base64 itself. The key is the one of /api/v3, with the
same rights; of a secret that is not base64 no signature is right.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Callable
from urllib.parse import parse_qsl

from libs.common.timeframe import SECOND
from services.exchange_sim.kraken_rest import KrakenRefusal
from services.exchange_sim.signing import KeyRights

TOKEN_S = 900
"""A token must be used within so many seconds."""


class KrakenGate:
    """Knows one key and its secret; `rights` and `now` (ns) are asked for each time."""

    def __init__(self, key: str, secret: str, rights: Callable[[], KeyRights], now: Callable[[], int]):
        self.key = key
        self.rights = rights
        self.nonce = 0
        self._secret = _decoded(secret)
        self._now = now
        self._tokens: dict[str, int] = {}

    def open(self, path: str, key: str, sign: str, body: str) -> dict[str, str]:
        """The parameters of a private call; `path` begins with /0/private, `body` is exactly what was sent.

        Raises:
            KrakenRefusal: EAPI:Invalid key, EAPI:Invalid signature, EAPI:Invalid nonce.
        """
        if not self.key or self.rights().revoked or not hmac.compare_digest(key.encode(), self.key.encode()):
            raise KrakenRefusal("EAPI:Invalid key")
        params = dict(parse_qsl(body, keep_blank_values=True))
        nonce = params.get("nonce", "")
        if self._secret is None or not hmac.compare_digest(signature_of(self._secret, path, nonce, body), sign):
            raise KrakenRefusal("EAPI:Invalid signature")
        if not nonce.isdecimal() or int(nonce) <= self.nonce:
            raise KrakenRefusal("EAPI:Invalid nonce")
        self.nonce = int(nonce)
        return params

    def check_trading(self) -> None:
        """Whether the key may enter orders and take them back.

        Raises:
            KrakenRefusal: EGeneral:Permission denied.
        """
        if not self.rights().trading:
            raise KrakenRefusal("EGeneral:Permission denied")

    def new_token(self) -> str:
        """A token with which a socket may subscribe to the account."""
        token = secrets.token_urlsafe(32)
        self._tokens[token] = self._now() + TOKEN_S * SECOND
        return token

    def takes(self, token: str) -> bool:
        """Whether `token` is one of ours, and fresh enough."""
        return not self.rights().revoked and self._now() <= self._tokens.get(token, 0)


def signature_of(secret: bytes, path: str, nonce: str, body: str) -> str:
    """What API-Sign must be."""
    digest = hashlib.sha256((nonce + body).encode()).digest()
    return base64.b64encode(hmac.new(secret, path.encode() + digest, hashlib.sha512).digest()).decode()


def _decoded(secret: str) -> bytes | None:
    try:
        return base64.b64decode(secret, validate=True)
    except (binascii.Error, ValueError):
        return None
