"""A dead man's switch for tests: an HTTP server that remembers when it was called."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from aiohttp import web

SECRET = "0a1b2c3d-4e5f-6789-abcd-ef0123456789"


class DeadMansSwitch:
    """Answers every call with `status`, after `wait_s`; `beats` are when it was called (monotonic s)."""

    def __init__(self) -> None:
        self.beats: list[float] = []
        self.paths: set[str] = set()
        self.status = 200
        self.wait_s = 0.0
        self.url = ""
        self._runner: web.AppRunner

    async def start(self) -> None:
        """Listen on a port of the system's choice."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/ping/{SECRET}"

    async def stop(self) -> None:
        """Close the port."""
        await self._runner.cleanup()

    def file(self, folder: Path, url: str = "") -> Path:
        """A secret file with its URL, or with another one."""
        path = folder / "heartbeat-url"
        path.touch(0o600)
        path.write_text(f"{url or self.url}\n")
        return path

    async def heard(self, count: int) -> None:
        """Return once it has been called so often."""
        async with asyncio.timeout(20):
            while len(self.beats) < count:  # noqa: ASYNC110  (the server fills the list)
                await asyncio.sleep(0.01)

    async def _answer(self, request: web.Request) -> web.Response:
        self.beats.append(time.monotonic())
        self.paths.add(request.path)
        await asyncio.sleep(self.wait_s)
        headers = {"Location": "/elsewhere"} if 300 <= self.status < 400 else {}
        return web.Response(status=self.status, headers=headers)
