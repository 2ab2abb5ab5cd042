"""Everything that every request goes through, in this order, whatever it asks for (pure ASGI: no route can be forgotten):

    name ─▶ rate of the address ─▶ shape ─▶ token, rate of the token, origin ─▶ body ─▶ deadline ─▶ the application
                                            (what is open needs none)                              headers ◀─ on the way back

What is refused leaves as a problem document, and into `Refusals`. Files of the console and `/livez` are open to all; everything below
`/api/` needs a token, whether there is such a path or not.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from typing import Any

import structlog
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from libs.common.metrics.doors import HTTP_REQUESTS, HTTP_SECONDS
from libs.runtime.made_metrics import counter_of, histogram_of
from libs.runtime.metrics import ServiceMetrics
from services.gateway.bodies import Gone, read_body, refuse_ambiguous, refuse_unshapely, replayed
from services.gateway.gatekeeper import HARMLESS, Gatekeeper
from services.gateway.problems import Problem
from services.gateway.settings import Settings

SESSION = "/api/v1/session"
STREAM = "/api/v1/stream"
METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
ARMOUR = {
    b"content-security-policy": CSP.encode(),
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"x-frame-options": b"DENY",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
}
HSTS = {b"strict-transport-security": b"max-age=31536000"}
CROWDED = "crowded"
"""The mark of a request whose connection is one too many."""
READ_S_MAX = 30.0
"""Whoever does not read an answer for so long has gone."""
HEADER_BYTES_MAX = 16 * 1024
CREDENTIALS = (b"authorization", b"cookie")
"""Headers that no route is shown: who asks is known before."""
_REFUSED = {413: "OVERSIZED", 431: "OVERSIZED", 408: "SLOW_BODY"}

NO_REQUEST = "no request"
_NO_REQUEST = {
    400: ("malformed", "this is no HTTP request"),
    431: ("headers-too-large", f"the headers have at most {HEADER_BYTES_MAX} bytes"),
}
Headers = list[tuple[bytes, bytes]]

_log = structlog.get_logger(__name__)


def is_open(method: str, path: str) -> bool:
    """Whether this needs no token."""
    if (method, path) == ("POST", SESSION):
        return True
    return not path.startswith("/api/") and path not in ("/api", "/openapi.json")


class Doors:
    """The application behind its doors."""

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings,
        keeper: Gatekeeper,
        metrics: ServiceMetrics,
        named: Callable[[str, str], str],
    ):
        self._app = app
        self._settings = settings
        self._keeper = keeper
        self._named = named
        self._armour = {**ARMOUR, **(HSTS if settings.speaks_tls else {})}
        self._service = metrics.service
        self._requests = counter_of(HTTP_REQUESTS, metrics.registry)
        self._seconds = histogram_of(HTTP_SECONDS, metrics.registry)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        is_crowded = bool(scope.get("state", {}).get(CROWDED))
        scope["state"] = {"request_id": secrets.token_hex(8), CROWDED: is_crowded}
        what = self._what(scope)
        answer = _Answer(send, self._armoured, lambda status, s: self._count(what, status, s))
        try:
            await self._through(scope, receive, answer, what)
        except Gone:
            return
        except Problem as problem:
            if problem.status in _REFUSED:
                self._keeper.note(scope["state"].get("caller"), scope, what, _REFUSED[problem.status])
            if not answer.has_begun:
                await problem.answer(scope["state"]["request_id"])(scope, receive, answer)
        except Exception:  # noqa: BLE001  a defect of one route must end as an answer and in the log, not as a dead connection
            _log.exception("route_failed", what=what, request_id=scope["state"]["request_id"])
            if not answer.has_begun:
                defect = Problem(500, "defect", "this is a defect of ours; the log has it under this instance")
                await defect.answer(scope["state"]["request_id"])(scope, receive, answer)

    def no_request(self, address: str, status: int) -> Response | None:
        """The answer to what is no request (400), or one whose headers do not end (431); None where this address has come too often.

        It counts, and stands in the log, like what was understood.
        """
        scope = {"type": "http", "path": "", "client": (address, 0), "headers": []}
        try:
            self._keeper.spend_address(scope, NO_REQUEST)
        except Problem:
            return None
        slug, detail = _NO_REQUEST[status]
        self._keeper.note(None, scope, NO_REQUEST, "MALFORMED" if status == 400 else "OVERSIZED")
        self._count(NO_REQUEST, status, 0.0)
        answer = Problem(status, slug, detail, headers={"Connection": "close"}).answer(secrets.token_hex(8))
        answer.raw_headers = self._armoured(answer.raw_headers)
        return answer

    def _armoured(self, headers: Headers) -> Headers:
        """Headers of an answer, with what every answer carries."""
        found = [(name, value) for name, value in headers if name != b"server"]
        present = {name.lower() for name, _ in found}
        found += [(name, value) for name, value in self._armour.items() if name not in present]
        return found if b"cache-control" in present else [*found, (b"cache-control", b"no-store")]

    async def _through(self, scope: Scope, receive: Receive, send: _Answer, what: str) -> None:
        keeper, path, method = self._keeper, scope["path"], scope["method"]
        keeper.spend_address(scope, what)
        if scope["state"][CROWDED]:
            keeper.note(None, scope, what, "CROWDED")
            close = {"Retry-After": "5", "Connection": "close"}
            raise Problem(503, "too-many-connections", "there are too many connections; close some", headers=close)
        refuse_unshapely(scope, HEADER_BYTES_MAX)
        if not is_open(method, path):
            scope["state"]["caller"] = keeper.admit(scope, what)
        elif path == SESSION:
            keeper.check_origin(scope, what)
        settings = self._settings
        body = await read_body(scope, receive, settings.gateway_body_bytes_max, settings.gateway_body_s_max)
        if method not in HARMLESS and path.startswith("/api/"):
            refuse_ambiguous(scope, body)
        shown = [(name, value) for name, value in scope["headers"] if name not in CREDENTIALS]
        await self._in_time({**scope, "headers": shown}, replayed(body, receive), send)
        if why := scope["state"].get("refused"):
            keeper.note(scope["state"].get("caller"), scope, what, why)

    async def _in_time(self, scope: Scope, receive: Receive, send: _Answer) -> None:
        if scope["path"] == STREAM:
            await self._app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(self._settings.gateway_answer_s_max) as deadline:
                await self._app(scope, receive, send)
        except TimeoutError:
            if not deadline.expired():
                raise
            raise Problem(504, "too-slow", "the answer took too long") from None

    def _what(self, scope: Scope) -> str:
        """What was asked for, in words of ours."""
        method = scope["method"] if scope["method"] in METHODS else "OTHER"
        return f"{method} {self._named(method, scope['path'])}"

    def _count(self, what: str, status: int, seconds: float) -> None:
        self._requests.labels(self._service, what, str(status)).inc()
        self._seconds.labels(self._service, what).observe(seconds)


class _Answer:
    """`send`, with what every answer carries."""

    def __init__(self, send: Send, armoured: Callable[[Headers], Headers], count: Callable[[int, float], Any]):
        self._send = send
        self._armoured = armoured
        self._count = count
        self._began_at = time.monotonic()
        self.has_begun = False

    async def __call__(self, message: Message) -> None:
        """One message of an answer."""
        if message["type"] == "http.response.start":
            self.has_begun = True
            message = {**message, "headers": self._armoured(message.get("headers", []))}
            self._count(message["status"], time.monotonic() - self._began_at)
        try:
            async with asyncio.timeout(READ_S_MAX):
                await self._send(message)
        except TimeoutError:
            raise Gone from None
