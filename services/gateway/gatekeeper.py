"""Who is let in: rates, credentials, and for browsers where a request comes from. Whoever is turned away is told to `Refusals`."""

from __future__ import annotations

import time
from urllib.parse import urlsplit

from starlette.types import Scope

from libs.desk.tokens import Token, TokenBook
from services.gateway.bodies import header
from services.gateway.callers import COOKIE, OUR_HEADER, Caller, Door
from services.gateway.problems import Problem
from services.gateway.rates import ADDRESS, FAILURES, TOKEN, Budget, Rates, network_of
from services.gateway.refusals import Refusals
from services.gateway.settings import Settings

HARMLESS = ("GET", "HEAD", "OPTIONS")
_SAID = {
    "NO_TOKEN": ("no-token", "this needs a token"),
    "BAD_TOKEN": ("bad-token", "this token is not valid"),
    "EXPIRED": ("bad-token", "this token is not valid"),
    "REVOKED": ("bad-token", "this token is not valid"),
}


class Gatekeeper:
    """One door's rules. `inventory` says whether a path of ours is open, `named` what to call it in the log."""

    def __init__(self, settings: Settings, tokens: TokenBook, refusals: Refusals):
        self.tokens = tokens
        self.rates = Rates(settings)
        self._refusals = refusals

    def note(self, caller: Caller | None, scope: Scope, what: str, why: str) -> None:
        """Somebody was turned away by what lies behind the door."""
        who = "" if caller is None else caller.token.id
        self._refusals.note(
            door_of(scope, is_cookie=bool(caller and caller.door == "console")), who, address_of(scope), what, why
        )

    def spend_address(self, scope: Scope, what: str) -> None:
        """One request of this address's budget.

        Raises:
            Problem: 429.
        """
        self._spend(ADDRESS, network_of(address_of(scope)), "", scope, what, door_of(scope, is_cookie=False))

    def admit(self, scope: Scope, what: str) -> Caller:
        """Whose token comes with this request, by header or cookie.

        Raises:
            Problem: 401, 403 or 429.
        """
        text, is_cookie = _credential(scope)
        door = door_of(scope, is_cookie=is_cookie)
        token = self.known(scope, text, door, what)
        caller = Caller(token, door, address_of(scope))
        self._spend(TOKEN, token.id, token.id, scope, what, door)
        if is_cookie and scope["method"] not in HARMLESS:
            if header(scope, OUR_HEADER) != b"1":
                self._refusals.note(door, token.id, caller.address, what, "ORIGIN")
                raise Problem(403, "origin", "with a session, this needs the header X-Bulkhead: 1")
            self.check_origin(scope, what, token.id)
        return caller

    def known(self, scope: Scope, text: str, door: Door, what: str) -> Token:
        """The token that `text` is.

        Raises:
            Problem: 401, or 429 where this address has failed too often.
        """
        found = self.tokens.check(text, int(time.time()), time.monotonic_ns())
        if isinstance(found, Token):
            return found
        address = address_of(scope)
        self._refusals.note(door, found.who, address, what, found.why)
        self._spend(FAILURES, network_of(address), found.who, scope, what, door)
        slug, detail = _SAID[found.why]
        headers = {"WWW-Authenticate": 'Bearer realm="bulkhead"'}
        if door == "console":  # a browser would bring it again and again
            headers["Set-Cookie"] = f'{COOKIE}=""; HttpOnly; Max-Age=0; Path=/; SameSite=strict'
        raise Problem(401, slug, detail, headers=headers)

    def check_origin(self, scope: Scope, what: str, who: str = "") -> None:
        """A browser says where a request comes from: from our own pages, or it is not obeyed.

        Raises:
            Problem: 403.
        """
        origin = header(scope, b"origin") or (b"several" if _has(scope, b"origin") else b"")
        if origin and not _is_ours(origin, header(scope, b"host"), is_tls=scope["scheme"] == "https"):
            self._refusals.note("console", who, address_of(scope), what, "ORIGIN")
            raise Problem(403, "origin", "this comes from a page of somebody else")

    def _spend(self, budget: Budget, key: str, who: str, scope: Scope, what: str, door: Door) -> None:
        wait_s = self.rates.spend(budget, key)
        if wait_s:
            self._refusals.note(door, who, address_of(scope), what, "RATE")
            text = f"too often; come again in {wait_s} s"
            raise Problem(429, "rate", text, headers={"Retry-After": str(wait_s)})


def address_of(scope: Scope) -> str:
    """Where a request comes from."""
    client = scope.get("client")
    return str(client[0]) if client else "unknown"


def door_of(scope: Scope, *, is_cookie: bool) -> Door:
    """Which door it has come to."""
    if scope["path"].startswith("/api/v1/webhooks/"):
        return "webhook"
    return "console" if is_cookie else "api"


def _credential(scope: Scope) -> tuple[str, bool]:
    """The token of a request, and whether it came as a cookie; a header wins, whatever it holds."""
    if _has(scope, b"authorization"):
        word, _, text = header(scope, b"authorization").decode("latin-1").partition(" ")
        return (text.strip() if word.lower() == "bearer" else "-"), False
    text = _cookie(header(scope, b"cookie").decode("latin-1"))
    return text, bool(text)


def _cookie(text: str) -> str:
    """The value of our cookie; "" if it is not there. The library's parser would take quadratic time for what strangers can send."""
    for pair in text.split(";"):
        name, _, value = pair.strip().partition("=")
        if name == COOKIE:
            return value
    return ""


def _has(scope: Scope, name: bytes) -> bool:
    return any(each == name for each, _ in scope["headers"])


def _is_ours(origin: bytes, host: bytes, *, is_tls: bool) -> bool:
    """Whether a page of `origin` is one that we serve at `host`; what is in front of us may speak TLS for us."""
    try:
        found = urlsplit(origin.decode("ascii"))
    except ValueError:
        return False
    schemes = ("https",) if is_tls else ("http", "https")
    return bool(host) and found.scheme in schemes and found.netloc.lower().encode() == host.lower()
