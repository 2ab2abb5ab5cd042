"""Who may ask for the account: key, signature and time stamp, checked as Binance checks them, on the venue's own clock."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from services.exchange_sim.clock import VenueClock

RECV_WINDOW_MS = 5000
RECV_WINDOW_MS_MAX = 60_000


class ApiError(Exception):
    """A refusal before the venue is asked: HTTP status, Binance's code and text."""

    def __init__(self, status: int, code: int, message: str):
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message


def missing(name: str) -> ApiError:
    """A parameter that must be there is not."""
    return ApiError(400, -1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


class KeyRights(msgspec.Struct, frozen=True, kw_only=True):
    """What the key may do."""

    revoked: bool = False
    withdrawals: bool = False
    trading: bool = True
    ip_restricted: bool = True


class Gate:
    """Knows one key and its secret; without them nobody gets in. Its clock is `skew_ms` ahead of the venue's."""

    def __init__(self, key: str, secret: str, clock: VenueClock, rights: KeyRights | None = None):
        self.rights = rights or KeyRights()
        self.skew_ms = 0
        self._key = key
        self._secret = secret.encode()
        self._clock = clock

    def check_key(self, key: str | None) -> None:
        """The key alone, for what is public but counted.

        Raises:
            ApiError: -2014 no key, -2015 not the key.
        """
        if not key:
            raise ApiError(401, -2014, "API-key format invalid.")
        if self.rights.revoked or not self._key or not hmac.compare_digest(key.encode(), self._key.encode()):
            raise ApiError(401, -2015, "Invalid API-key, IP, or permissions for action.")

    def check_trading(self) -> None:
        """Whether the key may enter orders and take them back.

        Raises:
            ApiError: -2015.
        """
        if not self.rights.trading:
            raise ApiError(401, -2015, "Invalid API-key, IP, or permissions for action.")

    def open_rest(self, text: str, key: str | None) -> dict[str, str]:
        """The parameters of a signed REST call; `text` is its query string and body exactly as sent.

        Raises:
            ApiError: -2014, -2015, -1022 (signature), -1102, -1131, -1021 (time).
        """
        self.check_key(key)
        payload, _, signature = text.rpartition("&signature=")
        if not payload:
            raise missing("signature")
        self._check_signature(payload, signature)
        params = dict(parse_qsl(payload, keep_blank_values=True))
        self._check_time(params)
        return params

    def open_ws(self, params: dict[str, Any]) -> dict[str, str]:
        """The parameters of a signed WebSocket-API call: signed over `k=v` sorted by key, the API key included.

        Raises:
            ApiError: as `open_rest`.
        """
        plain = {name: _plain(value) for name, value in params.items() if name != "signature"}
        self.check_key(plain.get("apiKey"))
        if not params.get("signature"):
            raise missing("signature")
        payload = "&".join(f"{name}={plain[name]}" for name in sorted(plain))
        self._check_signature(payload, str(params["signature"]))
        self._check_time(plain)
        return plain

    def _check_signature(self, payload: str, signature: str) -> None:
        expected = hmac.new(self._secret, payload.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected.encode(), signature.encode()):
            raise ApiError(400, -1022, "Signature for this request is not valid.")

    def _check_time(self, params: dict[str, str]) -> None:
        stamp = params.get("timestamp", "")
        window = params.get("recvWindow", str(RECV_WINDOW_MS))
        if not stamp.isdecimal():
            raise missing("timestamp")
        if not window.isdecimal() or int(window) > RECV_WINDOW_MS_MAX:
            raise ApiError(400, -1131, "recvWindow must be less than 60000.")
        if self._clock.is_ahead(int(stamp) - self.skew_ms):
            raise ApiError(400, -1021, "Timestamp for this request was 1000ms ahead of the server's time.")
        if self._clock.is_behind(int(stamp) - self.skew_ms, int(window)):
            raise ApiError(400, -1021, "Timestamp for this request is outside of the recvWindow.")


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
