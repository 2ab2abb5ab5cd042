"""What changes, as it changes (server-sent events): a section of the screen for each event, `id` is how far the log was read.

Who comes anew is shown everything as it is; who comes back with Last-Event-ID, too: sections are states, not steps (of the log's lines only new ones are
sent), so nothing that was missed matters. A comment every three seconds says that the line is alive. Whoever cannot follow is told so (`lagged`) and comes back.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request
from starlette.responses import Response, StreamingResponse

from libs.desk.broadcast import LAGGED, Moment
from libs.desk.desk import Desk
from services.gateway.callers import Caller, Needs
from services.gateway.documents import problems
from services.gateway.doors import STREAM
from services.gateway.gatekeeper import Gatekeeper
from services.gateway.problems import Problem
from services.gateway.settings import Settings
from services.gateway.standing_routes import desk_of

HEARTBEAT_S = 3.0
LOOK_EVERY_S = 1.0
"""So often the token of a listener is looked at again, and whether we are to stop."""
RETRY_MS = 1000

router = APIRouter(tags=["stream"])

_STREAM: dict[int | str, dict[str, Any]] = {
    **problems(),
    200: {"description": "server-sent events", "content": {"text/event-stream": {"schema": {"type": "string"}}}},
}


class EventStream(StreamingResponse):
    """Server-sent events."""

    media_type = "text/event-stream"


@router.get(STREAM, response_class=EventStream, responses=_STREAM)
async def stream(
    request: Request,
    caller: Annotated[Caller, Depends(Needs("read"))],
    last_event_id: Annotated[str | None, Header(max_length=32, description="the `id` that was heard last")] = None,
) -> Response:
    """The sections of the screen, all of them at first, then each that has changed."""
    desk: Desk = desk_of(request)
    if is_full(request, caller):
        request.scope["state"]["refused"] = "CROWDED"
        text = "there are too many listeners, of all or of this token; close one, or come again"
        raise Problem(503, "too-many-streams", text, headers={"Retry-After": "5"})
    return EventStream(_told(request, desk, caller), headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})


async def _told(request: Request, desk: Desk, caller: Caller) -> AsyncIterator[bytes]:
    keeper: Gatekeeper = request.app.state.keeper
    stopping: asyncio.Event = request.app.state.stopping
    yield b"retry: %d\n\n" % RETRY_MS
    if is_full(request, caller):  # somebody has come in while we were let in
        yield written((LAGGED,))
        return
    with desk.broadcast.listening() as listener, counted(request, caller):
        heard_at = time.monotonic()
        waiting = asyncio.ensure_future(listener.batch())
        try:
            while not stopping.is_set():
                await asyncio.wait({waiting}, timeout=LOOK_EVERY_S)
                if not keeper.tokens.holds(caller.token, int(time.time()), time.monotonic_ns()):
                    yield b"event: ended\ndata: {}\n\n"
                    return
                if waiting.done():
                    batch = waiting.result()
                    yield written(batch)
                    if batch[-1] is LAGGED:
                        return
                    heard_at = time.monotonic()
                    waiting = asyncio.ensure_future(listener.batch())
                elif time.monotonic() - heard_at >= HEARTBEAT_S:
                    yield b": still here\n\n"
                    heard_at = time.monotonic()
        finally:
            waiting.cancel()


def is_full(request: Request, caller: Caller) -> bool:
    """Whether there are as many listeners as there may be, or as many with this token as may be of one."""
    settings: Settings = request.app.state.settings
    ours: Counter[str] = request.app.state.listening
    is_full_of_all = desk_of(request).broadcast.listeners >= settings.gateway_streams_max
    return is_full_of_all or ours[caller.token.id] >= settings.gateway_streams_per_token


@contextmanager
def counted(request: Request, caller: Caller) -> Iterator[None]:
    """He listens, for so long."""
    ours: Counter[str] = request.app.state.listening
    ours[caller.token.id] += 1
    try:
        yield
    finally:
        ours[caller.token.id] -= 1
        if not ours[caller.token.id]:
            del ours[caller.token.id]


@lru_cache(maxsize=32)
def written(batch: tuple[Moment, ...]) -> bytes:
    """Moments as they go over the line, made once for all who hear the same; JSON of ours has no line ends."""
    return b"".join(b"id: %d\nevent: %s\ndata: %s\n\n" % (each.seq, each.kind.encode(), each.body) for each in batch)
