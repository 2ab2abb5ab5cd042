"""What every writer may say about itself."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from libs.common.messages.base import Answer, Message


class ServiceStarted(Message, frozen=True, kw_only=True, tag="service_started.v1"):
    """A writer began (or began again) to work, with this code and these decision-changing settings.

    `state_digest` is the digest of its machine's state at its position; `code_version` the digest of the code reachable from
    the machine. Where `code_version` differs from the previous start, a new verification span begins here. An operator's door
    has no machine: `settings` and `state_digest` are empty.
    """

    suffix: ClassVar[str] = "started"
    is_source: ClassVar[bool] = True

    instance: str
    code_version: str
    settings: dict[str, Any]
    state_digest: str


class ServiceStopping(Message, frozen=True, kw_only=True, tag="service_stopping.v1"):
    """A writer was told to stop, and is about to: its machine's last chance to leave the world in order."""

    suffix: ClassVar[str] = "stopping"
    is_source: ClassVar[bool] = True

    instance: str


class TimerFired(Message, frozen=True, kw_only=True, tag="timer_fired.v1"):
    """A timer that the writer's machine had set for `due` has gone off (`ts_init` is when)."""

    suffix: ClassVar[str] = "timer"
    is_source: ClassVar[bool] = True

    name: str
    due: int


class RequestExpired(Answer, frozen=True, kw_only=True, tag="request_expired.v1"):
    """The request was older than its `valid_until` when its turn came: provably never sent."""

    suffix: ClassVar[str] = "expired"


class RequestInterrupted(Answer, frozen=True, kw_only=True, tag="request_interrupted.v1"):
    """The process ended while the request may already have left: nobody knows its outcome yet."""

    suffix: ClassVar[str] = "interrupted"


class EventRejected(Message, frozen=True, kw_only=True, tag="event_rejected.v1"):
    """An input this writer refuses to act on; its copy is in DEAD under `dead.<rejected_seq>`."""

    suffix: ClassVar[str] = "rejected"

    rejected_seq: int
    rejected_subject: str
    reason: str
    detail: str


class AlertRaised(Message, frozen=True, kw_only=True, tag="alert_raised.v1"):
    """Something a person should know; `page` wakes somebody, `ticket` waits for daytime, `note` is for the record."""

    suffix: ClassVar[str] = "alert"

    code: str
    severity: Literal["page", "ticket", "note"]
    text: str
    instrument: str = ""
