"""Services as tasks of this process, over a real bus: the same shell that `python -m services.x` runs, one life at a time.

life = await Life(nats, "risk-gate", risk_signing_key_file=...).live()
pen = await Pen.of(nats, "market-feed")          # writes as that service would, with its own key
seq = await pen.say(FeedBars(...))
await life.done(seq)                             # it has handled `seq`, and everything that follows from it is in the log
assert await life.stop() is None                 # what ended it
"""

from __future__ import annotations

import asyncio
import base64
import inspect
import runpy
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

from libs.common.codec import BadEvent, decode_from, encode
from libs.common.messages import Message
from libs.common.subjects import subject_of
from libs.runtime import process
from libs.runtime.adapter import LogEntry
from libs.runtime.code_version import code_version
from libs.runtime.contract import Contract
from libs.runtime.live import LiveShell
from libs.runtime.machine import Machine
from libs.runtime.readiness import Readiness
from libs.runtime.registry import contract_of, module_of
from libs.runtime.replay import Part, ReplayReport, replay
from libs.runtime.settings import ServiceSettings
from libs.runtime.streams import TRADING
from services.cli.stack_keys import ensure_secrets
from tests.e2e.venue_stand import VenueStand
from tests.nats_stack import NatsStack, User

PATIENCE_S = 45.0
"""For states that come within a second on a machine with nothing else to do; importing a model's client takes fifteen on a busy one."""
NOW = 1_767_571_200_000_000_000
"""When the tests happen: 2026-01-05 00:00 UTC, where a generated market begins."""


async def until(condition: Callable[[], Any]) -> None:
    """Return once `condition` holds; it may have to be awaited."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            found = condition()
            if await found if inspect.isawaitable(found) else found:
                return
            await asyncio.sleep(0.01)


class Kind(msgspec.Struct, frozen=True):
    """What `__main__` hands to `libs.runtime.process.run`."""

    contract: Contract
    machine_class: type[Machine]
    settings_class: type[ServiceSettings]
    adapter: Any = None
    seal: Any = None

    @property
    def part(self) -> Part:
        """This service in a replay."""
        return Part(self.contract, self.machine_class, code_version(self.machine_class.__module__))


@cache
def kind_of(service: str) -> Kind:
    """A real service, as its own `__main__` puts it together."""
    found: list[Kind] = []

    def take(*given: Any, **more: Any) -> None:
        found.append(Kind(*given, **more))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "run", take)
        runpy.run_module(f"{module_of(service)}.__main__", run_name="__main__")
    return found[0]


def special_settings(service: str, home: Path, venue: VenueStand | None) -> dict[str, Any]:
    """What a service must be told because it has no default; without a venue, nobody answers at its address."""
    secrets, venue_url, clock = ensure_secrets(home), "http://127.0.0.1:1", {}
    if venue is not None:
        secrets.api_key.write_text(venue.key)
        secrets.api_secret.write_text(venue.secret)
        venue_url, clock = venue.url, {"clock_url": f"ws{venue.url.removeprefix('http')}/sim/clock"}
    special = {
        "market-feed": {"feed_venue_url": venue_url, "feed_history_bars": 16, "feed_history_weeks": 1},
        "risk-gate": {"risk_signing_key_file": secrets.gate_key},
        "order-executor": {
            "exec_venue_url": venue_url,
            "exec_api_key_file": secrets.api_key,
            "exec_api_secret_file": secrets.api_secret,
            "exec_gate_public_key": secrets.gate_public_key,
        },
    }
    return {**clock, **special.get(service, {})}


class Life:
    """One life of one service; `kind` is a real one unless another is given."""

    def __init__(self, nats: NatsStack, service: str | Kind, *, venue: VenueStand | None = None, **settings: Any):
        self.kind = service if isinstance(service, Kind) else kind_of(service)
        self.name = self.kind.contract.service
        given = special_settings(self.name, nats.home, venue) if isinstance(service, str) else {}
        self.settings = self.kind.settings_class(
            **{"home": nats.home, "nats_url": nats.url, "http_port": 0, **given, **settings}
        )
        seal = self.kind.seal(self.settings) if self.kind.seal else None
        self.shell = LiveShell(
            self.kind.contract, self.kind.machine_class, self.settings, adapter=self.kind.adapter, seal=seal
        )
        self.task = asyncio.create_task(self.shell.run(), name=f"life of {self.name}")

    @property
    def readiness(self) -> Readiness:
        """What /readyz would say."""
        return self.shell._readiness()

    @property
    def state(self) -> Any:
        """The machine's memory."""
        return self.shell._engine.core.machine.state

    async def live(self) -> Life:
        """Itself, once it lives."""
        await self._until(lambda: self.readiness.ready)
        return self

    async def done(self, seq: int) -> None:
        """Return once it has handled everything up to `seq`, and what follows from that is in the log."""

        def is_done() -> bool:
            found = self.readiness
            return found.ready and found.quiescent and self.shell._pull.scanned_seq >= seq

        await self._until(is_done)

    async def standing_by(self) -> Life:
        """Itself, once it waits for the lease."""
        await self._until(lambda: "standby" in self.readiness.reasons[0])
        return self

    async def stop(self) -> BaseException | None:
        """Tell it to stop; returns what ended it, None for a clean end."""
        self.shell.stop()
        return await self.ended()

    async def ended(self) -> BaseException | None:
        """What ended it, once it has ended."""
        await asyncio.wait({self.task}, timeout=PATIENCE_S)
        assert self.task.done(), f"{self.name} does not end"
        error = self.task.exception()
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        return error

    async def kill(self) -> None:
        """As kill -9: nothing is finished, nothing is saved, the lease stays where it is."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                if self.task.done():
                    raise AssertionError(f"{self.name} has ended") from self.task.exception()
                await asyncio.sleep(0.01)


async def everybody(*lives: Awaitable[Life]) -> dict[str, Life]:
    """Lives that begin together, by name."""
    return {life.name: life for life in await asyncio.gather(*lives)}


async def rest(lives: dict[str, Life], seq: int) -> None:
    """Once everybody has handled `seq`, stop everybody; each must end cleanly."""
    for life in lives.values():
        await life.done(seq)
    ends = await asyncio.gather(*(life.stop() for life in lives.values()))
    assert ends == [None] * len(lives)


class Pen:
    """Writes into the log as one writer, with that writer's key and without any of its conditions."""

    def __init__(self, user: User, writer: str, now: int = NOW):
        self.user = user
        self.writer = writer
        self.now = now
        self._count = 0

    @classmethod
    async def of(cls, nats: NatsStack, service: str, now: int = NOW) -> Pen:
        """The pen of a service."""
        return cls(await nats.connect(service), contract_of(service).writer, now)

    def filled_in(self, message: Message) -> Message:
        """`message` with the metadata this writer would give it."""
        self._count += 1
        name = message.id or f"{self.writer}-{self._count}"
        return msgspec.structs.replace(
            message,
            id=name,
            producer=self.writer,
            ts_event=message.ts_event or self.now,
            ts_init=message.ts_init or self.now,
            correlation_id=message.correlation_id or name,
        )

    async def say(self, message: Message) -> int:
        """Append a good message; returns its seq."""
        message = self.filled_in(message)
        return await self.write(subject_of(message), encode(message))

    async def write(self, subject: str, payload: bytes, **headers: str) -> int:
        """Append these very bytes; returns their seq."""
        answer = await self.user.ask(subject, payload, **headers)
        assert "error" not in answer, answer
        return int(answer["seq"])

    async def raw(self, command: bytes) -> None:
        """Send what no client library would."""
        await self.user.client._send_command(command)
        await self.user.client.flush()


class Log:
    """The log as the administrator reads it, as far as it was read."""

    def __init__(self, admin: User):
        self._admin = admin
        self.entries: list[LogEntry] = []

    @classmethod
    async def of(cls, nats: NatsStack) -> Log:
        """The log of a stack."""
        return cls(await nats.connect("admin"))

    async def read(self) -> list[LogEntry]:
        """Everything up to now."""
        while True:
            seq = self.entries[-1].seq + 1 if self.entries else 1
            answer = await self._admin.ask(f"$JS.API.STREAM.MSG.GET.{TRADING}", {"seq": seq, "next_by_subj": ">"})
            if "error" in answer:
                return self.entries
            found = answer["message"]
            payload = base64.b64decode(found.get("data", ""))
            self.entries.append(LogEntry(found["seq"], found["subject"], payload))

    async def said(self, subject: str) -> list[Any]:
        """Every message on one subject; what is none is left out."""
        found = []
        for entry in await self.read():
            if entry.subject == subject:
                with suppress(BadEvent):
                    found.append(decode_from(entry.subject, entry.payload))
        return found

    async def until(self, subject: str, count: int = 1) -> list[Any]:
        """Every message on one subject, once there are `count` of them."""

        async def are_there() -> bool:
            return len(await self.said(subject)) >= count

        await until(are_there)
        return await self.said(subject)

    async def last_seq(self) -> int:
        """Where it ends."""
        await self.read()
        return self.entries[-1].seq if self.entries else 0

    async def size(self, stream: str) -> int:
        """The last sequence of a stream."""
        return int((await self._admin.ask(f"$JS.API.STREAM.INFO.{stream}"))["state"]["last_seq"])

    async def dead(self) -> dict[int, dict[str, Any]]:
        """The copies in DEAD by the seq of their original: subject, headers and payload as the server shows them."""
        found, seq = {}, 1
        while True:
            answer = await self._admin.ask("$JS.API.STREAM.MSG.GET.DEAD", {"seq": seq, "next_by_subj": ">"})
            if "error" in answer:
                return found
            message = answer["message"]
            original = int(message["subject"].rpartition(".")[2])
            assert original not in found, "copied twice"
            headers = base64.b64decode(message.get("hdrs", "")).decode()
            found[original] = {"headers": headers, "payload": base64.b64decode(message.get("data", ""))}
            seq = message["seq"] + 1

    async def proof(self, kinds: Iterable[Kind]) -> ReplayReport:
        """The replay proof over everything up to now."""
        entries = await self.read()
        return replay(lambda: entries, [kind.part for kind in kinds])


def forget_snapshots(home: Path) -> None:
    """Let the next starts begin at the beginning."""
    for path in (home / "snapshots").glob("*.snapshot"):
        path.unlink()
