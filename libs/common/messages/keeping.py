"""What is known of a log itself and its copies: that it goes on in another epoch, when it was backed up, that a copy was proven to bring the book back, and that one did."""

from __future__ import annotations

from typing import ClassVar

from libs.common.messages.base import Count, Instant, Message

_SAID_BY = "ops.*"


class BackupMade(Message, frozen=True, kw_only=True, tag="backup_made.v1"):
    """A backup holds the log up to `last_seq`, since `made_at` (wall time of who made it, ns UTC).

    `head` is the digest of the chain over all entries up to there (hex SHA-256), which whoever distrusts the backup can compare it by; `origin` the
    same after the first entry, which says of which log it is.
    """

    said_by: ClassVar[str] = _SAID_BY
    suffix: ClassVar[str] = "backup"
    is_source: ClassVar[bool] = True

    origin: str
    last_seq: Count
    head: str
    made_at: Instant
    author: str


class RestoreProven(Message, frozen=True, kw_only=True, tag="restore_proven.v1"):
    """An empty bus was filled from a backup and held the same log up to `last_seq` (`head`), of which every derived event was derived again.

    `proven_at` is wall time (ns UTC), `took_ms` how long the way from files to a proven log was.
    """

    said_by: ClassVar[str] = _SAID_BY
    suffix: ClassVar[str] = "restore_proven"
    is_source: ClassVar[bool] = True

    origin: str
    last_seq: Count
    head: str
    proven_at: Instant
    took_ms: Count
    author: str


class BookRestored(Message, frozen=True, kw_only=True, tag="book_restored.v1"):
    """This log was filled from a backup up to `last_seq`, the entry before this one: what had happened since is known to the venue alone.

    `backup_made_at` and `restored_at` are wall times (ns UTC): between them events may be lost. A HALT follows.
    """

    said_by: ClassVar[str] = _SAID_BY
    suffix: ClassVar[str] = "restored"
    is_source: ClassVar[bool] = True

    origin: str
    last_seq: Count
    head: str
    backup_made_at: Instant
    restored_at: Instant
    author: str


class EpochBegan(Message, frozen=True, kw_only=True, tag="epoch_began.v1"):
    """The log goes on in the stream `epoch`; the one before, `closed`, ends at `last_seq` and is sealed."""

    said_by: ClassVar[str] = _SAID_BY
    suffix: ClassVar[str] = "epoch"
    is_source: ClassVar[bool] = True

    epoch: str
    closed: str
    last_seq: Count
    author: str
