"""What a service reads and says, as types. Permissions, consumers, docs and the style tests are generated from it."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from libs.common.messages import (
    AlertRaised,
    Answer,
    EventRejected,
    Message,
    RequestExpired,
    RequestInterrupted,
    ServiceStarted,
    ServiceStopping,
    TimerFired,
)
from libs.common.subjects import filter_of, may_say

SAID_BY_ALL: tuple[type[Message], ...] = (ServiceStarted, ServiceStopping, TimerFired, EventRejected, AlertRaised)
SAID_BY_ASKERS: tuple[type[Message], ...] = (RequestExpired, RequestInterrupted)


class Zone(StrEnum):
    """A trust zone (DESIGN §6). MODEL and EDGE live in NATS accounts of their own."""

    FEED = "FEED"
    CORE = "CORE"
    EXEC = "EXEC"
    MODEL = "MODEL"
    EDGE = "EDGE"


class Reader(msgspec.Struct, frozen=True, kw_only=True):
    """A further durable of a service that follows the log at its own pace and decides nothing (a projection)."""

    durable: str
    filters: tuple[str, ...]


class Contract(msgspec.Struct, frozen=True, kw_only=True):
    """One writer's contract. `service` is its kebab-case name: image, durable and deployment are called so.

    `consumes` are the types it reads from others, `produces` what it says beyond what every writer may say; its own answers
    (subclasses of `Answer` and other source types among `produces` listed in `hears_itself`) come back to it in their turn.
    """

    service: str
    writer: str
    zone: Zone
    consumes: tuple[type[Message], ...]
    produces: tuple[type[Message], ...]
    hears_itself: tuple[type[Message], ...] = ()
    readers: tuple[Reader, ...] = ()
    calls_venues: bool = False

    def __post_init__(self) -> None:
        for kind in self.produces:
            if not may_say(self.writer, kind):
                raise ValueError(f"{self.service}: writer {self.writer!r} may not say {kind.__name__} ({kind.said_by})")

    @property
    def asks(self) -> bool:
        """Whether it touches the world through requests."""
        return any(issubclass(kind, Answer) for kind in self.produces)

    @property
    def says(self) -> tuple[type[Message], ...]:
        """Every type it may append."""
        return self.produces + SAID_BY_ALL + (SAID_BY_ASKERS if self.asks else ())

    @property
    def filters(self) -> tuple[str, ...]:
        """The subject filters of its consumer: others' facts, and its own starts, timers and answers."""
        own = [ServiceStarted, ServiceStopping, TimerFired, *self.hears_itself]
        own += [kind for kind in self.says if issubclass(kind, Answer)]
        heard = [filter_of(kind) for kind in self.consumes if kind.said_by != "*"]
        for kind in self.consumes:
            if kind.said_by == "*":  # `*.alert` does not match `agent.trend.alert`: one filter for each depth
                heard += [filter_of(kind, "*"), filter_of(kind, "*.*")]
        covered = {kind for kind in self.consumes if kind.said_by == "*"}
        mine = [filter_of(kind, self.writer) for kind in own if kind not in covered]
        return tuple(sorted({*heard, *mine}))
