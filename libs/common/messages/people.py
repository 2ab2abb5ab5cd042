"""To and from people: operators' commands and what the notifier told whom."""

from __future__ import annotations

from typing import ClassVar, Literal

from libs.common.messages.base import Answer, Count, Ident, Instant, Message
from libs.common.messages.trading import Side


class GenesisDeclared(Message, frozen=True, kw_only=True, tag="ops_genesis.v1"):
    """The first command of a book: from here on it exists and may be reconciled, opened and traded.

    `mode`: sim, a simulated market; paper, a live market and a paper venue (in logs from before sim was a word of its own: a simulated
    market, too); live, a real venue. In which world a service worked is told by the settings of each of its starts.
    """

    said_by: ClassVar[str] = "ops.*"
    suffix: ClassVar[str] = "genesis"
    is_source: ClassVar[bool] = True

    book: str
    mode: Literal["sim", "paper", "live"]
    author: str


class LiveUnlocked(Message, frozen=True, kw_only=True, tag="live_unlocked.v1"):
    """From here on the book may trade for real, by a certificate of `bulkhead graduate`; said before the first service starts.

    `grounds`: MET, the paper book and the system have shown all that is asked; OVERRIDE, they have not, and `operator` took it upon himself, for
    `reason`. `unmet` is what had not been shown, a line each, its name first; `certificate` the certificate's digest, which lets the book start until `expires_at` (ns).
    """

    said_by: ClassVar[str] = "ops.*"
    suffix: ClassVar[str] = "live_unlocked"
    is_source: ClassVar[bool] = True

    book: str
    grounds: Literal["MET", "OVERRIDE"]
    operator: str
    reason: str
    unmet: tuple[str, ...]
    paper_days: Count
    certificate: str
    expires_at: Instant


class OperatorCommanded(Message, frozen=True, kw_only=True, tag="operator_command.v1"):
    """A human told the gate to halt, to reduce or to resume."""

    said_by: ClassVar[str] = "ops.*"
    suffix: ClassVar[str] = "command"
    is_source: ClassVar[bool] = True

    command: Literal["HALT", "REDUCE", "RESUME"]
    reason: str
    author: str


class FlattenCommanded(Message, frozen=True, kw_only=True, tag="flatten_command.v1"):
    """A human wants everything sold and nothing bought: the gate halts, and has the portfolio leave every position."""

    said_by: ClassVar[str] = "ops.*"
    suffix: ClassVar[str] = "flatten"
    is_source: ClassVar[bool] = True

    reason: str
    author: str


class CancelCommanded(Message, frozen=True, kw_only=True, tag="cancel_command.v1"):
    """A human takes back an entry that rests at the venue; `cl_ord_id` "" means all of them. Guards and exits stay: they protect."""

    said_by: ClassVar[str] = "ops.*"
    suffix: ClassVar[str] = "cancel"
    is_source: ClassVar[bool] = True

    cl_ord_id: str
    reason: str
    author: str


class MuteCommanded(Message, frozen=True, kw_only=True, tag="mute_command.v1"):
    """A person wants to be told less by one channel until `until` (ns): neither notes nor, where `level` says so, tickets. Pages come all the same.

    A time that has passed ends a mute that is in force.
    """

    said_by: ClassVar[str] = "ops.*"
    suffix: ClassVar[str] = "mute"
    is_source: ClassVar[bool] = True

    channel: Ident
    level: Literal["ticket", "note"]
    until: Instant
    author: str


class AccessRefused(Message, frozen=True, kw_only=True, tag="access_refused.v1"):
    """Somebody was turned away at a door to the system; nothing that he asked for has happened.

    `who` is what he called himself as far as it was proven: a token's id, a person's number, "" nobody. `address` is where he came from, `what` the
    route or the word he tried, `why` a slug (`BAD_TOKEN`, `SCOPE`, `REPLAYED`). Like refusals are told together: `count` of them since the last telling.
    """

    said_by: ClassVar[str] = "ops.*"
    suffix: ClassVar[str] = "refused"
    is_source: ClassVar[bool] = True

    door: Literal["api", "console", "webhook", "telegram"]
    who: str
    address: str
    what: str
    why: str
    count: Count


class MacroOverrideCommanded(Message, frozen=True, kw_only=True, tag="macro_override_command.v1"):
    """A human lets entries of one `side` of one instrument go against the weekly regime until `valid_until`, or takes that back.

    Its `id` is the override's. REVOKE ends whichever is in force for that side; its `valid_until` says nothing.
    """

    said_by: ClassVar[str] = "ops.*"
    suffix: ClassVar[str] = "override"
    is_source: ClassVar[bool] = True

    command: Literal["SET", "REVOKE"]
    instrument: str
    side: Side
    valid_until: Instant
    reason: str
    author: str


class MacroOverrideChanged(Message, frozen=True, kw_only=True, tag="macro_override_changed.v1"):
    """The gate took an override into force, or it ended; `uses` are the entries that were approved under it."""

    said_by: ClassVar[str] = "risk"
    suffix: ClassVar[str] = "override"

    override_id: str
    state: Literal["IN_FORCE", "REVOKED", "EXPIRED"]
    instrument: str
    side: Side
    valid_until: Instant
    reason: str
    author: str
    uses: Count


class BaselineAccepted(Message, frozen=True, kw_only=True, tag="baseline_accepted.v1"):
    """A human has explained what the books cannot: from now on the venue's balances are where they start from."""

    said_by: ClassVar[str] = "ops.*"
    suffix: ClassVar[str] = "baseline"
    is_source: ClassVar[bool] = True

    reason: str
    author: str


class TextHeard(Message, frozen=True, kw_only=True, tag="text_heard.v1"):
    """A foreign text somebody has brought in for the model agent to read: material, never an instruction.

    `instrument` is what it is about, "" all of them; `source` a short name of ours for where it is from. It counts from
    `published_at` (ns), but never from before it was heard.
    """

    said_by: ClassVar[str] = "ops.*"
    suffix: ClassVar[str] = "text"
    is_source: ClassVar[bool] = True

    instrument: str
    source: str
    published_at: int
    text: str
    author: str


class MessageSent(Answer, frozen=True, kw_only=True, tag="message_sent.v1"):
    """A channel's answer to one message to people."""

    said_by: ClassVar[str] = "notify"
    suffix: ClassVar[str] = "sent"

    channel: str
    ok: bool
    detail: str


class PersonNotified(Message, frozen=True, kw_only=True, tag="person_notified.v1"):
    """The notifier decided to tell people this; `repeat` marks one that may have been told before."""

    said_by: ClassVar[str] = "notify"
    suffix: ClassVar[str] = "notice"

    level: Literal["page", "ticket", "note"]
    text: str
    repeat: bool
