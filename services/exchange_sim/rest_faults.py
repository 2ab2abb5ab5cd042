"""Faults of HTTP requests, and a venue that is away: the outermost layer around every handler, of all venues alike.

/sim/…, /livez and /readyz are not of any venue, and nothing ever happens to them.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

from aiohttp import web

from services.exchange_sim.connections import cut, hang
from services.exchange_sim.fault_script import FaultScript, Standing
from services.exchange_sim.faults import RestFault, VenueFault

Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]

EXEMPT = ("/sim/", "/livez", "/readyz")
OTHER_VENUES = ("kraken", "kucoin")
RETRY_S = 5
PAGE = "<html><head><title>{0}</title></head><body><h1>{0}</h1></body></html>"
REASONS = {
    200: "Scheduled maintenance",
    403: "403 Forbidden",
    451: "Service unavailable from a restricted location",
    503: "503 Service Temporarily Unavailable",
    504: "504 Gateway Time-out",
}
TOO_MANY = '{"code":-1003,"msg":"Too many requests queued."}'


class RestFaults:
    """A middleware that does to requests what the script says."""

    def __init__(self, script: FaultScript):
        self._script = script

    @web.middleware
    async def around(self, request: web.Request, handler: Answering) -> web.StreamResponse:
        """Answer truthfully, or as scripted."""
        if request.path.startswith(EXEMPT):
            return await handler(request)
        away = self._script.on_venue(venue_of(request.path))
        if away is not None:
            return self._refused(request, *away)
        struck = self._script.on_request(request.method, request.path)
        if struck is None:
            return await handler(request)
        standing, fault = struck
        self._script.strike(standing)
        if fault.kind == "reset":
            return cut(request)
        if fault.kind == "html":
            return _page(200)
        if fault.kind == "status":
            return _status(fault)
        answer = await handler(request)
        if fault.kind == "hang":
            await hang(request, fault.delay, lambda: standing.is_ended)
            return answer
        return _spoilt(answer, fault) if isinstance(answer, web.Response) else answer

    def _refused(self, request: web.Request, standing: Standing, fault: VenueFault) -> web.Response:
        self._script.strike(standing)
        if fault.refuse_by == "reset":
            return cut(request)
        seconds_left = self._script.seconds_left(standing)
        wait_s = RETRY_S if seconds_left is None else max(1, math.ceil(seconds_left))
        return _page(503, {"Retry-After": str(wait_s)})


def venue_of(path: str) -> str:
    """Whose path it is: that of the venue it begins with, else Binance's."""
    first = path.split("/", 2)[1] if path.startswith("/") else ""
    return first if first in OTHER_VENUES else "binance"


def _page(status: int, headers: dict[str, str] | None = None) -> web.Response:
    text = PAGE.format(REASONS.get(status, f"Error {status}"))
    return web.Response(text=text, status=status, content_type="text/html", headers=headers)


def _status(fault: RestFault) -> web.Response:
    code = fault.code or 503
    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    body = TOO_MANY if fault.body is None and code in (418, 429) else fault.body
    if body is None:
        return _page(code, headers)
    content_type = "application/json" if body.lstrip().startswith(("{", "[")) else "text/html"
    return web.Response(text=body, status=code, content_type=content_type, headers=headers)


def _spoilt(answer: web.Response, fault: RestFault) -> web.Response:
    """What is left of a true answer."""
    body = answer.body if isinstance(answer.body, bytes) else b""
    left = {"truncated": body[: len(body) // 2], "empty": b"", "empty_object": b"{}"}[fault.kind]
    counted = {name: value for name, value in answer.headers.items() if name.upper().startswith("X-MBX-")}
    return web.Response(body=left, status=answer.status, content_type="application/json", headers=counted)
