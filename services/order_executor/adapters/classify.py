"""Did it happen? What a request's outcome proves, from what went over the wire rather than from the class of an exception.

ccxt maps many raw answers onto few exceptions, loses the code of some (it matches texts first) and calls a revoked key
throttling, so an outcome is judged by three facts: whether the request left at all, the HTTP status, and Binance's own code.

    never left, or no connection was made          REJECTED  NEVER_SENT
    4xx with a code of ours to judge               REJECTED  <code>       (UNDECIDED codes: UNKNOWN)
    429 and 418 without one (the rate limiter)     REJECTED  HTTP_<status>
    any other 4xx without one (a firewall, a
    proxy: nobody of the venue's has spoken)       UNKNOWN   HTTP_<status>
    5xx                                            UNKNOWN   HTTP_<status>, or its UNDECIDED code
    any other status, a broken connection,
    a time-out, a 200 that is no answer            UNKNOWN
"""

from __future__ import annotations

import socket
from typing import Literal

import aiohttp
import msgspec

from services.order_executor.refusals import kind_of
from services.order_executor.requests import NEVER_SENT

UNDECIDED = (-1000, -1001, -1006, -1007, -1008, -1016)
"""Codes by which Binance says that it does not know itself, or is not well: the order may exist."""

NO_SUCH_ORDER = -2013
ARCHIVED = -2026
RATE_LIMITED = (418, 429)


class Heard(msgspec.Struct):
    """What one request heard from the wire. `status` 0: no HTTP answer."""

    sent: bool = False
    status: int = 0
    body: str = ""


class Outcome(msgspec.Struct, frozen=True):
    """What is proved. `detail` has no secrets in it: the venue's own text, or the name of what broke."""

    verdict: Literal["REJECTED", "UNKNOWN"]
    code: str
    detail: str


class _Refusal(msgspec.Struct):
    code: int
    msg: str = ""


def outcome_of(heard: Heard, error: BaseException | None) -> Outcome:
    """What a request that did not end in a good answer proves; `error` is what the client raised, if anything."""
    if not heard.sent or _is_unconnected(error):
        return Outcome("REJECTED", NEVER_SENT, _named(error))
    if heard.status == 0:
        return Outcome("UNKNOWN", "NO_ANSWER", _named(error))
    refusal = refusal_of(heard)
    if heard.status < 400:
        return Outcome("UNKNOWN", "BAD_ANSWER", f"status {heard.status}: {_named(error)}")
    if refusal is None:
        verdict: Literal["REJECTED", "UNKNOWN"] = "REJECTED" if heard.status in RATE_LIMITED else "UNKNOWN"
        return Outcome(verdict, f"HTTP_{heard.status}", f"status {heard.status} without a code: {_named(error)}")
    said, code = refusal.msg[:200], str(refusal.code)
    if heard.status >= 500:
        code = code if refusal.code in UNDECIDED else f"HTTP_{heard.status}"
        return Outcome("UNKNOWN", code, f"status {heard.status}: {said}")
    exists = kind_of(code, said) == "DUPLICATE"
    return Outcome("UNKNOWN" if exists or refusal.code in UNDECIDED else "REJECTED", code, said)


def is_not_found(heard: Heard) -> bool:
    """Whether the venue says, in so many words, that it has no such order."""
    refusal = refusal_of(heard)
    return refusal is not None and 400 <= heard.status < 500 and refusal.code == NO_SUCH_ORDER


def is_archived(heard: Heard) -> bool:
    """Whether the venue had such an order, never executed, and has put it away."""
    refusal = refusal_of(heard)
    return refusal is not None and 400 <= heard.status < 500 and refusal.code == ARCHIVED


def refusal_of(heard: Heard) -> _Refusal | None:
    """Binance's `{"code": ..., "msg": ...}`, if the body is one."""
    try:
        return msgspec.json.decode(heard.body, type=_Refusal)
    except msgspec.DecodeError:
        return None


def _is_unconnected(error: BaseException | None) -> bool:
    """Whether no connection was made: refused, unreachable, no such name, a certificate that is not the venue's."""
    causes = (error, getattr(error, "__cause__", None))
    return any(isinstance(cause, aiohttp.ClientConnectorError | socket.gaierror) for cause in causes)


def _named(error: BaseException | None) -> str:
    """The names of an error and its cause; never their texts, which carry signed addresses."""
    if error is None:
        return "not an answer"
    cause = error.__cause__
    return type(error).__name__ + (f" ({type(cause).__name__})" if cause is not None else "")
