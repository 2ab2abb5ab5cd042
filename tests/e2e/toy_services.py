"""Small services for the live shell's tests: one that counts, one that asks the world, one that feeds."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import msgspec
from pydantic import Field

from libs.common.messages import (
    AlertRaised,
    Answer,
    FeedMarks,
    Message,
    MessageSent,
    PersonNotified,
    RequestExpired,
    RequestInterrupted,
    ServiceStopping,
    TimerFired,
)
from libs.runtime.adapter import AdapterContext
from libs.runtime.contract import Contract, Zone
from libs.runtime.core import Asked
from libs.runtime.machine import Effect, Perform, Publish, SetTimer
from libs.runtime.settings import ServiceSettings
from tests.e2e.live_services import Kind
from tests.unit.runtime.test_simulated_toys import NoSettings, Send, SourceMachine

SECOND = 1_000_000_000


class CounterSettings(msgspec.Struct, frozen=True):
    """How much a mark counts."""

    step: int


class CounterState(msgspec.Struct):
    """What was counted."""

    total: int = 0
    fired: int = 0


class Counter:
    """Answers mark n with one alert that carries n and the running total; 1,000 and more with a timer, 10,000 with a flood."""

    Settings: ClassVar = CounterSettings
    State: ClassVar = CounterState
    cursed: ClassVar[set[int]] = set()
    """Marks on which it raises: a defect that a test switches on."""

    def __init__(self, settings: CounterSettings):
        self.settings, self.state = settings, CounterState()

    def handle(self, event: Message, now: int) -> list[Effect]:
        if isinstance(event, TimerFired):
            self.state.fired += 1
            return [_alert(f"fired {event.name}")]
        if not isinstance(event, FeedMarks):
            return []
        number = event.as_of
        if number in self.cursed:
            raise ZeroDivisionError(f"mark {number} is cursed")
        self.state.total += number * self.settings.step
        said = [_alert(f"{number}:{self.state.total}")]
        if number >= 10_000:
            said += [_alert(f"flood {place}") for place in range(300)]
        elif number >= 1_000:
            return [*said, SetTimer(f"t{number}", now)]
        return said


def _alert(text: str) -> Publish:
    return Publish(AlertRaised(code="TOY", severity="note", text=text))


class AskerState(msgspec.Struct):
    """How requests ended."""

    ends: dict[str, str] = {}


class Asker:
    """Asks the world once for each mark; a mark below 0 asks too late."""

    Settings: ClassVar = NoSettings
    State: ClassVar = AskerState

    def __init__(self, settings: NoSettings):
        self.settings, self.state = settings, AskerState()

    def handle(self, event: Message, now: int) -> list[Effect]:
        if isinstance(event, MessageSent | RequestExpired | RequestInterrupted):
            self.state.ends[event.request_id] = type(event).__name__
        if not isinstance(event, FeedMarks):
            return []
        text = str(event.as_of)
        valid_until = 1 if event.as_of >= 500 else 1 << 62
        notice = Publish(PersonNotified(level="note", text=text, repeat=False))
        return [notice, Perform(text, Send(text=text, valid_until=valid_until))]


class Leaver(Asker):
    """Takes its leave: says so, asks the world one last thing, and says what came of it."""

    def handle(self, event: Message, now: int) -> list[Effect]:
        if isinstance(event, ServiceStopping):
            leaving = Publish(PersonNotified(level="note", text="leaving", repeat=False))
            return [leaving, Perform(f"leave {now}", Send(text="leave", valid_until=1 << 62))]
        effects = super().handle(event, now)
        if isinstance(event, MessageSent) and event.request_id.startswith("leave"):
            effects.append(Publish(PersonNotified(level="note", text="left", repeat=False)))
        return effects


class World:
    """What the asker asks: answers at once, or not before `gate` is open."""

    def __init__(self, settings: ServiceSettings):
        self.settings = settings
        self.left: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.is_broken = False
        self.context: AdapterContext

    async def open(self, context: AdapterContext) -> None:
        self.context = context
        if self.is_broken:
            raise ConnectionError("the world is not there")

    async def perform(self, asked: Asked) -> Answer:
        self.left.append(asked.request_id)
        await self.gate.wait()
        now = self.context.clock.now()
        return MessageSent(request_id=asked.request_id, channel="toy", ok=True, detail="", ts_event=now, ts_init=now)

    async def close(self) -> None: ...


class Careful(World):
    """Sends as an executor does: the lease is looked at immediately before. What it was asked and has sent is in files of its home.

    Between the two it waits for the file `go`, which is where a test freezes it.
    """

    async def perform(self, asked: Asked) -> Answer:
        home, instance = self.settings.home, self.settings.instance
        (home / f"{instance}.asked").touch()
        while not (home / "go").exists():  # noqa: ASYNC110  (another process makes the file)
            await asyncio.sleep(0.02)
        holds = await self.context.holds_lease()
        (home / f"{instance}.{'sent' if holds else 'not-sent'}").touch()
        return await super().perform(asked)


class ToySettings(ServiceSettings):
    """The counter's settings."""

    step: int = Field(default=1, ge=1)

    def machine(self) -> CounterSettings:
        return CounterSettings(step=self.step)


class PlainSettings(ServiceSettings):
    """Nothing of its own."""

    def machine(self) -> NoSettings:
        return NoSettings()


def _contract(service: str, writer: str, zone: Zone, *produces: type[Message], **more: Any) -> Contract:
    consumes = () if writer == "feed" else (FeedMarks,)
    return Contract(service=service, writer=writer, zone=zone, consumes=consumes, produces=produces, **more)


FEED = Kind(
    _contract("market-feed", "feed", Zone.FEED, FeedMarks, hears_itself=(FeedMarks,)),
    SourceMachine,
    PlainSettings,
    adapter=World,
)
COUNTER = Kind(_contract("risk-gate", "risk", Zone.CORE), Counter, ToySettings)
ASKER = Kind(
    _contract("notifier", "notify", Zone.EDGE, PersonNotified, MessageSent), Asker, PlainSettings, adapter=World
)
LEAVER = Kind(ASKER.contract, Leaver, PlainSettings, adapter=World)
CAREFUL = Kind(ASKER.contract, Asker, PlainSettings, adapter=Careful)
TOYS = (FEED.contract, COUNTER.contract, ASKER.contract)


def mark(number: int) -> FeedMarks:
    """The mark with this number."""
    return FeedMarks(venue="binance", as_of=number, marks=())
