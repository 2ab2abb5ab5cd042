"""The emulated model as a server: chat completions on one side, its script and what it has seen on the other."""

from __future__ import annotations

import asyncio
import gzip
from contextlib import suppress
from typing import Any

import msgspec
from aiohttp import web

from services.model_sim.behaviour import Behaviour, Script, ScriptRefused, script_of
from services.model_sim.replies import FLOOD_BYTES, completion, refused
from services.model_sim.settings import Settings
from services.model_sim.voices import heard_of

SHUTDOWN_S = 0.2
SEEN_MAX = 1_000
DRIPS = 12
PIECE = b" " * 65_536


class Seen(msgspec.Struct, frozen=True):
    """One request as it arrived; of its authorization only whether it was there."""

    path: str
    behaviour: Behaviour
    model: str
    authorized: bool
    headers: dict[str, str]
    body: Any


class ModelServer:
    """One server; `start` before `url`, `stop` at the end. `script` may be played from the same process."""

    def __init__(self, settings: Settings):
        self._settings = settings
        self._runner: web.AppRunner | None = None
        self.script = Script()
        self.script.play([self._plain()])
        self.seen: list[Seen] = []
        self.port = 0

    @property
    def url(self) -> str:
        """The base URL clients are given."""
        return f"http://{self._settings.model_sim_host}:{self.port}/v1"

    async def start(self) -> int:
        """Listen; returns the port.

        Raises:
            OSError: the port is not ours to use.
        """
        app = web.Application(client_max_size=1024 * 1024)
        app.router.add_post("/v1/chat/completions", self._complete)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/sim/script", self._play)
        app.router.add_get("/sim/seen", self._tell_seen)
        app.router.add_delete("/sim/seen", self._forget_seen)
        app.router.add_get("/livez", self._alive)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._settings.model_sim_host, self._settings.model_sim_port).start()
        self.port = int(self._runner.addresses[0][1])
        return self.port

    async def stop(self) -> None:
        """Close every connection."""
        if self._runner is not None:
            await self._runner.cleanup()

    def _plain(self) -> Behaviour:
        return Behaviour(voice=self._settings.model_sim_voice)

    # --- chat completions -------------------------------------------------------------------------------------------

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        try:
            body = msgspec.json.decode(await request.read())
        except msgspec.DecodeError:
            return web.json_response({"error": {"message": "not JSON"}}, status=400)
        behaviour = self.script.next()
        model = str(body.get("model", "")) if isinstance(body, dict) else ""
        self._note(request, behaviour, model, body)
        if behaviour.wait_s:
            await asyncio.sleep(behaviour.wait_s)
        key = request.headers.get("Authorization", "").removeprefix("Bearer ")
        reply = refused(behaviour, key)
        if reply is not None:
            return web.Response(
                status=reply.status, text=reply.body, headers=reply.headers, content_type=reply.content_type
            )
        return await self._send(request, behaviour, completion(behaviour, heard_of(body), model).encode())

    def _note(self, request: web.Request, behaviour: Behaviour, model: str, body: Any) -> None:
        headers = {name: value for name, value in request.headers.items() if name.lower() != "authorization"}
        self.seen.append(Seen(request.path, behaviour, model, "Authorization" in request.headers, headers, body))
        del self.seen[:-SEEN_MAX]

    async def _send(self, request: web.Request, behaviour: Behaviour, body: bytes) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        match behaviour.do:
            case "hang":
                await asyncio.Event().wait()
            case "reset":
                if request.transport is not None:
                    request.transport.abort()
            case "drip":
                await response.prepare(request)
                size = -(-len(body) // DRIPS)
                for start in range(0, len(body), size):
                    await response.write(body[start : start + size])
                    await asyncio.sleep(behaviour.every_s)
            case "cut":
                response.content_length = len(body)
                await response.prepare(request)
                await response.write(body[: len(body) // 2])
                if request.transport is not None:
                    request.transport.close()
            case "flood":
                await self._flood(request, response)
            case "zipped":
                zipped = gzip.compress(PIECE * 64)
                return web.Response(body=zipped, headers={**response.headers, "Content-Encoding": "gzip"})
            case _:
                return web.Response(body=body, content_type="application/json")
        return response

    async def _flood(self, request: web.Request, response: web.StreamResponse) -> None:
        """Blanks without an end in sight, which JSON allows."""
        await response.prepare(request)
        with suppress(ConnectionError):  # whoever reads has had enough
            for _ in range(FLOOD_BYTES // len(PIECE)):
                await response.write(PIECE)

    # --- the strings behind the stage ---------------------------------------------------------------------------------

    async def _play(self, request: web.Request) -> web.Response:
        try:
            script = script_of(await request.read())
        except ScriptRefused as error:
            return web.json_response({"error": str(error)}, status=400)
        self.script.play(script or [self._plain()])
        return web.json_response({"behaviours": len(script)})

    async def _tell_seen(self, request: web.Request) -> web.Response:
        return web.Response(body=msgspec.json.encode({"seen": self.seen}), content_type="application/json")

    async def _forget_seen(self, request: web.Request) -> web.Response:
        self.seen.clear()
        return web.json_response({"seen": []})

    async def _models(self, request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "sim", "object": "model", "owned_by": "bulkhead"}]})

    async def _alive(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})
