"""The narrow door: one request in, one small body out, and a note of what was heard.

Client libraries follow redirects, read bodies without an end, unpack what is packed, try again, and tell of failures by classes of their own. Here
each request of an asking passes once, nothing is followed or unpacked, a body above `BODY_BYTES_MAX` is not read on, and status and
body are noted before anybody can interpret them.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Literal

import httpx

BODY_BYTES_MAX = 64 * 1024

Fault = Literal["", "connect", "timeout", "protocol", "oversize"]


class Heard:
    """What one asking has heard: whether anything left, the status (0: none came), the body as far as it was read, what broke."""

    def __init__(self) -> None:
        self.sent = False
        self.status = 0
        self.body = b""
        self.retry_after = ""
        self.fault: Fault = ""


heard: ContextVar[Heard] = ContextVar("heard_of_the_model")


class NarrowTransport(httpx.AsyncBaseTransport):
    """Lets through what an asking needs. Whoever sends sets `heard` first."""

    def __init__(self, inner: httpx.AsyncBaseTransport | None = None):
        # a connection for each asking: bars are minutes apart, and a kept one may be dead without our knowing
        limits = httpx.Limits(max_connections=8, max_keepalive_connections=0)
        self._inner = inner or httpx.AsyncHTTPTransport(retries=0, trust_env=False, limits=limits)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One exchange.

        Raises:
            httpx.TransportError: nothing usable came back; `heard` says of what kind.
        """
        note = heard.get()
        if note.sent:
            raise httpx.ProtocolError("one asking is one request")
        try:
            note.sent = True
            response = await self._inner.handle_async_request(request)
        except httpx.TransportError as error:
            note.fault = _fault_of(error)
            note.sent = note.fault != "connect"
            raise
        note.status = response.status_code
        note.retry_after = response.headers.get("retry-after", "")[:64]
        try:
            note.body = await _read(response, note)
        finally:
            await response.aclose()
        return httpx.Response(
            response.status_code,
            headers={"content-type": response.headers.get("content-type", "")},
            content=note.body,
            request=request,
        )

    async def aclose(self) -> None:
        """Close what is open."""
        await self._inner.aclose()


async def _read(response: httpx.Response, note: Heard) -> bytes:
    """The body, if it is plain and small."""
    if response.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        note.fault = "protocol"
        raise httpx.DecodingError("the body is packed although nobody asked for that")
    pieces: list[bytes] = []
    size = 0
    try:
        async for piece in response.aiter_raw():
            size += len(piece)
            if size > BODY_BYTES_MAX:
                note.fault = "oversize"
                raise httpx.ReadError("the body is too large")
            pieces.append(piece)
    except httpx.TransportError as error:
        note.fault = note.fault or _fault_of(error)
        raise
    return b"".join(pieces)


def _fault_of(error: httpx.TransportError) -> Fault:
    match error:
        case httpx.TimeoutException():
            return "timeout"
        case httpx.ConnectError() | httpx.UnsupportedProtocol():
            return "connect"
    return "protocol"
