"""The emulated Bot API as a server: the bot's side under /bot<token>/<method>, people and the script under /sim."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from services.telegram_sim.behaviour import Behaviour, Script, ScriptRefused, script_of
from services.telegram_sim.chats import Chats
from services.telegram_sim.methods import METHODS, Fields, polled
from services.telegram_sim.replies import (
    CONFLICT,
    MALFORMED_TOKEN,
    NO_METHOD,
    UNAUTHORIZED,
    MethodRefused,
    Reply,
    error,
    refused,
    result,
)
from services.telegram_sim.settings import Settings

BOT_ID = 7_012_345_678
SHUTDOWN_S = 0.2
CALLS_MAX = 10_000
BODY_BYTES_MAX = 20 * 1024 * 1024

K = TypeVar("K", bound=msgspec.Struct)


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request of the bot's: what it asked, how it was answered (0: not at all), when (s, monotonic); never its token."""

    method: str
    behaviour: str
    status: int
    fields: dict[str, str]
    at: float


class Told(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request to /sim/say."""

    user: int
    text: str
    chat: int = 0
    forwarded: int = 0
    date: int = 0


class Pressed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request to /sim/press."""

    user: int
    button: str
    chat: int = 0
    message_id: int = 0
    forged: str = ""


class Repeated(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request to /sim/repeat."""

    update_id: int


class Tokens(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request to /sim/tokens: which tokens count from now on, and which no more."""

    add: tuple[str, ...] = ()
    revoke: tuple[str, ...] = ()


class TelegramServer:
    """One server and one bot; `start` before `url`, `stop` at the end. `script`, `chats` and `tokens` are played with from the same process."""

    def __init__(self, settings: Settings):
        self._settings = settings
        self._runner: web.AppRunner | None = None
        self._polling: asyncio.Event | None = None
        self.token = new_token()
        self.tokens = {self.token}
        self.script = Script()
        self.chats = Chats(BOT_ID, settings.telegram_sim_chats)
        self.calls: list[Call] = []
        self.port = 0

    @property
    def url(self) -> str:
        """What a client is given instead of https://api.telegram.org."""
        return f"http://{self._settings.telegram_sim_host}:{self.port}"

    @property
    def is_polled(self) -> bool:
        """Whether a bot is waiting for updates right now."""
        return self._polling is not None

    async def start(self) -> int:
        """Listen; returns the port.

        Raises:
            OSError: the port is not ours to use.
        """
        app = web.Application(client_max_size=BODY_BYTES_MAX)
        app.router.add_route("*", "/bot{token}/{method}", self._call)
        app.router.add_post("/sim/script", self._play)
        app.router.add_post("/sim/say", self._say)
        app.router.add_post("/sim/press", self._press)
        app.router.add_post("/sim/repeat", self._repeat)
        app.router.add_post("/sim/tokens", self._change_tokens)
        app.router.add_get("/sim/sent", self._tell_sent)
        app.router.add_delete("/sim/sent", self._forget_sent)
        app.router.add_get("/livez", self._alive)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S, handler_cancellation=True)
        await self._runner.setup()
        port = self.port or self._settings.telegram_sim_port
        await web.TCPSite(self._runner, self._settings.telegram_sim_host, port).start()
        self.port = int(self._runner.addresses[0][1])
        return self.port

    async def stop(self) -> None:
        """Close every connection; `start` opens the same port again."""
        if self._runner is not None:
            await self._runner.cleanup()

    def rotate(self) -> str:
        """A new token; the old one is refused from now on, as after BotFather's /revoke."""
        self.tokens.discard(self.token)
        self.token = new_token()
        self.tokens.add(self.token)
        return self.token

    # --- the bot's side ---------------------------------------------------------------------------------------------

    async def _call(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        fields = await _fields_of(request)
        behaviour = self.script.next(method)
        if behaviour.wait_s:
            await asyncio.sleep(behaviour.wait_s)
        reply = refused(behaviour, str(request.url)) or await self._done(request, method, fields, behaviour)
        self._note(method, behaviour, fields, 0 if behaviour.do in ("hang", "reset", "lost") else reply.status)
        return await self._send(request, behaviour, reply)

    async def _done(self, request: web.Request, method: str, fields: Fields, behaviour: Behaviour) -> Reply:
        """What Telegram would do and say; a request that hangs or is reset has done nothing."""
        if behaviour.do in ("hang", "reset"):
            return Reply()
        token = request.match_info["token"]
        bot_id, colon, key = token.partition(":")
        if not (bot_id.isdigit() and colon and key):
            return error(*MALFORMED_TOKEN)
        if token not in self.tokens:
            return error(*UNAUTHORIZED)
        name = method.lower()
        try:
            if name == "getupdates":
                return await self._updates(fields)
            if name in METHODS:
                return result(METHODS[name](self.chats, fields))
        except MethodRefused as refusal:
            return error(refusal.status, refusal.description)
        return error(*NO_METHOD)

    async def _updates(self, fields: Fields) -> Reply:
        """Wait until there is something or the client's time is up; a later poll ends this one."""
        offset, limit, timeout_s, kinds = polled(fields)
        if self._polling is not None:
            self._polling.set()
        mine = self._polling = asyncio.Event()
        self.chats.wake()
        ends = time.monotonic() + timeout_s
        try:
            while True:
                if mine.is_set():
                    return error(*CONFLICT)
                found = self.chats.take_updates(offset, limit, kinds)
                left_s = ends - time.monotonic()
                if found or left_s <= 0:
                    return result(found)
                await self.chats.changed(left_s)
        finally:
            if self._polling is mine:
                self._polling = None

    async def _send(self, request: web.Request, behaviour: Behaviour, reply: Reply) -> web.StreamResponse:
        match behaviour.do:
            case "hang":
                await asyncio.Event().wait()
            case "reset" | "lost":
                if request.transport is not None:
                    request.transport.abort()
            case "cut":
                response = web.StreamResponse(headers={"Content-Type": "application/json"})
                response.content_length = len(reply.body)
                await response.prepare(request)
                await response.write(reply.body.encode()[: len(reply.body) // 2])
                if request.transport is not None:
                    request.transport.close()
                return response
        return web.Response(
            status=reply.status, text=reply.body, headers=reply.headers, content_type=reply.content_type
        )

    def _note(self, method: str, behaviour: Behaviour, fields: Fields, status: int) -> None:
        texts = {name: value for name, value in fields.items() if isinstance(value, str)}
        call = Call(method=method, behaviour=behaviour.do, status=status, fields=texts, at=time.monotonic())
        self.calls.append(call)
        del self.calls[:-CALLS_MAX]
        self.chats.wake()

    # --- the strings behind the stage ---------------------------------------------------------------------------------

    async def _play(self, request: web.Request) -> web.Response:
        try:
            script = script_of(await request.read())
        except ScriptRefused as refusal:
            return web.json_response({"error": str(refusal)}, status=400)
        self.script.play(script)
        return web.json_response({"behaviours": len(script)})

    async def _say(self, request: web.Request) -> web.Response:
        def say(told: Told) -> Any:
            date, forwarded = told.date, told.forwarded
            return {"update_id": self.chats.say(told.user, told.text, chat=told.chat, forwarded=forwarded, date=date)}

        return await _controlled(request, Told, say)

    async def _press(self, request: web.Request) -> web.Response:
        def press(told: Pressed) -> Any:
            where = {"chat": told.chat, "message_id": told.message_id}
            return {"update_id": self.chats.press(told.user, told.button, **where, forged=told.forged)}

        return await _controlled(request, Pressed, press)

    async def _repeat(self, request: web.Request) -> web.Response:
        def repeat(told: Repeated) -> Any:
            self.chats.repeat(told.update_id)
            return {"update_id": told.update_id}

        return await _controlled(request, Repeated, repeat)

    async def _change_tokens(self, request: web.Request) -> web.Response:
        def change(told: Tokens) -> Any:
            self.tokens = (self.tokens | set(told.add)) - set(told.revoke)
            return {"tokens": len(self.tokens)}

        return await _controlled(request, Tokens, change)

    async def _tell_sent(self, request: web.Request) -> web.Response:
        told = {"sent": self.chats.sent, "answered": self.chats.answered, "calls": self.calls}
        return web.Response(body=msgspec.json.encode(told), content_type="application/json")

    async def _forget_sent(self, request: web.Request) -> web.Response:
        for each in (self.chats.sent, self.chats.answered, self.calls):
            each.clear()  # type: ignore[attr-defined]
        return web.json_response({"sent": []})

    async def _alive(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})


def new_token() -> str:
    """A token as BotFather makes them; nobody has had it before."""
    return f"{BOT_ID}:AA{secrets.token_urlsafe(25)[:33]}"


def write_secret(path: Path, value: str) -> None:
    """A file that only its owner can read from its first moment on."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(f"{value}\n")


async def _fields_of(request: web.Request) -> Fields:
    """Fields from the query, a form (with files) or JSON; all of them are welcome to Telegram."""
    fields: Fields = dict(request.query)
    if request.content_type == "application/json":
        body = msgspec.json.decode(await request.read() or b"{}")
        return {**fields, **body} if isinstance(body, dict) else fields
    for name, value in (await request.post()).items():
        fields[name] = value.file.read() if isinstance(value, web.FileField) else value
    return fields


async def _controlled(request: web.Request, kind: type[K], act: Callable[[K], Any]) -> web.Response:
    """What a request to /sim asked for, done; or why not."""
    try:
        return web.json_response(act(msgspec.json.decode(await request.read(), type=kind)))
    except (msgspec.DecodeError, UnicodeDecodeError, LookupError) as problem:
        return web.json_response({"error": str(problem)}, status=400)
