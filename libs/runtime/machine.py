"""The protocol of a machine: `handle(event) -> effects`, and nothing else.

A machine is synchronous and deterministic. It has no clock, no randomness, no client, no logger. Its whole memory is
`state`, a msgspec Struct, so that a shell can snapshot and restore it without knowing it. What it wants done it returns:

* `Publish(message)`: append this fact to the log. The shell fills in the metadata (id, position, times, correlation).
* `SetTimer(name, due)` / `CancelTimer(name)`: `TimerFired` comes back through the log at or after `due`. One timer a name:
  setting it again replaces it.
* `Perform(request_id, request)`: ask the world. The adapter's answer (an `Answer` with this `request_id`) is appended to the log before
  the machine sees it. A request that must not be repeated stands behind a `Publish` in the same list (write-ahead).
* `Reject(reason, detail)`: this input is poison; the shell copies it to DEAD and publishes `EventRejected` and an alert.
"""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

import msgspec

from libs.common.messages import Message


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A typed request to the world. After `valid_until` (ns) the shell does not perform it but records `RequestExpired`.

    `write_ahead` requests must not be repeated: the shell refuses one that does not stand behind a `Publish`.
    """

    write_ahead: ClassVar[bool] = False

    valid_until: int


class Publish(msgspec.Struct, frozen=True):
    """Append `message` to the log."""

    message: Message


class SetTimer(msgspec.Struct, frozen=True):
    """Let `TimerFired(name, due)` be appended once the clock has reached `due` (ns)."""

    name: str
    due: int


class CancelTimer(msgspec.Struct, frozen=True):
    """Forget the timer `name`; a firing already in the log is dropped."""

    name: str


class Perform(msgspec.Struct, frozen=True):
    """Let the adapter perform `request`; its answer carries `request_id`, unique among the unanswered ones."""

    request_id: str
    request: Request


class Reject(msgspec.Struct, frozen=True):
    """The input is well-formed but must not be acted on (a bad signature, a contradiction)."""

    reason: str
    detail: str


Effect = Publish | SetTimer | CancelTimer | Perform | Reject


class Machine(Protocol):
    """What every service's `machine.py` implements.

    `Settings` is a frozen Struct of everything that can change a decision, `State` a Struct of everything remembered. Both
    survive a round trip through msgspec.
    """

    Settings: ClassVar[type[msgspec.Struct]]
    State: ClassVar[type[msgspec.Struct]]

    settings: Any
    state: Any

    def __init__(self, settings: Any) -> None: ...

    def handle(self, event: Message, now: int) -> list[Effect]:
        """React to one event. `now` is the highest `ts_init` of trusted writers seen so far (ns)."""
        ...
