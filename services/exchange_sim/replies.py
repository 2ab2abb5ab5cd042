"""JSON answers, and refusals in Binance's form, for every REST handler."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from libs.trading.venue import VenueRejected
from services.exchange_sim.signing import ApiError


def reply(content: Any, status: int = 200) -> web.Response:
    """`content` as a JSON answer."""
    return web.Response(body=msgspec.json.encode(content), status=status, content_type="application/json")


def refusal(error: ApiError | VenueRejected) -> web.Response:
    """`{"code":…,"msg":…}` with the status that goes with it."""
    status = error.status if isinstance(error, ApiError) else 400
    return reply({"code": error.code, "msg": error.message}, status)


@web.middleware
async def speak_binance(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Turn refusals, and paths that do not exist, into Binance's JSON."""
    try:
        return await handler(request)
    except (ApiError, VenueRejected) as error:
        return refusal(error)
    except web.HTTPNotFound:
        return reply({"code": -1000, "msg": f"No such endpoint: {request.method} {request.path}"}, 404)
