"""What every event in the log has in common.

A message is a frozen fact (past tense) with flat metadata. Its class says three things about it that the wire does not repeat:

* `said_by`: the writer that may say it ("risk"), a family of writers ("agent.*"), or "*" for what every writer may say;
* `suffix`: what follows the writer's name in the subject ("approved.{instrument}"; fields of the message may stand in braces);
* `is_source`: a source event enters the system (a price, a timer, a recorded answer, a command) and is an *input* to the
  replay proof; all others are derived and must be re-derived byte for byte.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

Instant = Annotated[int, msgspec.Meta(ge=0, lt=2**62)]
"""Nanoseconds UTC, until the year 2116: a time beyond it would stop every clock that follows the highest one seen."""
Ident = Annotated[str, msgspec.Meta(max_length=128)]
"""Ids are ours, and 32 characters; whoever makes up longer ones would have them repeated in the words of whoever answers."""
Count = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", forbid_unknown_fields=True):
    """The metadata of an event; times are integer nanoseconds UTC.

    `ts_event` is when it happened at its source, `ts_init` when it entered the system (derived events copy the `now` of
    their input). `correlation_id` names the whole story, `causation_id` the direct parent. `done_in_seq` and
    `done_out_index` are the writer's position: the last input it has finished (or is answering with this very message) and
    how many of that input's outputs are in the log, this one included. `producer` is the writer.
    """

    said_by: ClassVar[str] = "*"
    suffix: ClassVar[str] = ""
    is_source: ClassVar[bool] = False

    id: Ident = ""
    ts_event: Instant = 0
    ts_init: Instant = 0
    correlation_id: Ident = ""
    causation_id: Ident = ""
    done_in_seq: Count = 0
    done_out_index: Count = 0
    producer: str = ""


class Answer(Message, frozen=True, kw_only=True):
    """The recorded outcome of a request to the world; appended before the machine sees it. Never re-derived."""

    is_source: ClassVar[bool] = True

    request_id: str
