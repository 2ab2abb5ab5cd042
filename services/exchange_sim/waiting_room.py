"""What stands at the venue's port while the market that it is to follow cannot be had: everything is answered with 503 and why."""

from __future__ import annotations

import structlog
from aiohttp import web

UNWELL = -1001
_log = structlog.get_logger(__name__)


class WaitingRoom:
    """Listens from `open` to `close`."""

    def __init__(self, reason: str):
        self.reason = reason
        self._runner: web.AppRunner | None = None

    async def open(self, host: str, port: int) -> int:
        """Listen; returns the port.

        Raises:
            OSError: the port is not ours to use.
        """
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.3)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        port = int(self._runner.addresses[0][1])
        _log.warning("market_unreachable", port=port, reason=self.reason)
        return port

    async def close(self) -> None:
        """Make room for the venue."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        if request.path == "/livez":
            return web.json_response({"status": "waiting", "reason": self.reason})
        text = f"the market to follow cannot be had, trying again: {self.reason}"
        return web.json_response({"code": UNWELL, "msg": text}, status=503)
