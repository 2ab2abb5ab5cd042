"""`bulkhead ledger`: the journal in the log and in the tables, read and held against each other.

The tables belong to the ledger; what reads them is asked for by the ledger's registered name, so that nothing of it is loaded before a command needs it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy.exc import SQLAlchemyError

from libs.common.codec import BadEvent, decode_from
from libs.common.messages import JournalHeadDeclared, JournalPosted
from libs.runtime.adapter import LogEntry
from libs.runtime.redaction import redact
from libs.runtime.registry import module_of, settings_of
from libs.runtime.settings import load_settings
from libs.trading.journal import Booked, ChainHead, booked
from libs.trading.journal_audit import Audit, Finding, audit, compare
from services.cli.exit_codes import CONFIG, UNAVAILABLE, USAGE, Failure

SUBJECTS = ("ledger.entry", "ledger.head")
_HEAD = re.compile(r"([0-9a-f]{64}):(\d{1,15})")


class Journal(msgspec.Struct):
    """The journal in a log: entries, declared heads with the events that declared them, and what could not be read."""

    entries: list[Booked] = []
    heads: list[tuple[int, str, ChainHead]] = []
    unreadable: list[Finding] = []
    last_seq: int = 0


class Tables(msgspec.Struct, frozen=True):
    """The journal in a database that has followed the log up to event `position`."""

    position: int
    entries: list[Booked]
    heads: list[tuple[str, ChainHead]]


class Books(msgspec.Struct, frozen=True):
    """What was found. Of the tables only what they have read yet is compared: up to event `position`."""

    log: Audit | None
    tables: Audit | None
    position: int
    findings: list[tuple[str, Finding]]


def ledger(module: str) -> Any:
    """A module among the ledger's adapters."""
    return import_module(f"{module_of('ledger')}.adapters.{module}")


def ledger_url(home: Path, told: str = "") -> Any:
    """The database the ledger writes, or the one that was named.

    Raises:
        SettingsError. Failure: it is no URL of a database.
    """
    if told:
        try:
            return import_module(f"{module_of('ledger')}.settings").url_in(told, "the URL")
        except ValueError as error:
            raise Failure(USAGE, str(error), "name a postgresql:// or sqlite:/// URL") from error
    settings: Any = load_settings(settings_of("ledger"), strict=False)
    return settings.model_copy(update={"home": home}).sql_url()


@contextmanager
def answering_for(url: Any) -> Iterator[None]:
    """What a database does not do becomes a failure with a cure.

    Raises:
        Failure
    """
    shown = url.render_as_string(hide_password=True)
    try:
        yield
    except SQLAlchemyError as error:
        reason = redact(str(getattr(error, "orig", None) or error)).strip().splitlines()[0][:300]
        cure = "is it up, and may this user do that? `bulkhead doctor` looks at it"
        raise Failure(UNAVAILABLE, f"{shown} does not do what it should: {reason}", cure) from error
    except ledger("record").NotOurs as error:
        cure = "let the ledger of this version run once: it brings its tables up to date; or name another database"
        raise Failure(CONFIG, f"{shown}: {error}", cure) from error
    except ledger("schema").SchemaTooNew as error:
        cure = "docs/ROLLBACK.md says which ways back there are"
        raise Failure(CONFIG, f"{shown}: {error}", cure) from error
    except ledger("rebuild").NotEmpty as error:
        raise Failure(USAGE, f"{shown}: {error}", "name an empty database, or a file that does not exist") from error


def head_in(told: str) -> ChainHead:
    """A head as people were told it.

    Raises:
        Failure: it is none.
    """
    found = _HEAD.fullmatch(told.strip())
    if found is None:
        cure = "give the 64 characters, a colon and the number, as the message at the end of a day says them"
        raise Failure(USAGE, f"{told[:90]!r} is no head of a journal", cure)
    return ChainHead(found[1], int(found[2]))


def journal_in(log: Sequence[LogEntry]) -> Journal:
    """The journal of a log. What stands on its subjects and cannot be read is a finding."""
    journal = Journal()
    for entry in log:
        journal.last_seq = entry.seq
        if entry.subject not in SUBJECTS:
            continue
        try:
            message = decode_from(entry.subject, entry.payload)
        except BadEvent as error:
            text = f"it cannot be read: {error.reason}"
            journal.unreadable.append(Finding("EDITED", f"event {entry.seq} on {entry.subject}", text))
            continue
        if isinstance(message, JournalPosted):
            journal.entries.append(booked(message, entry.seq))
        elif isinstance(message, JournalHeadDeclared):
            head = ChainHead(message.digest, message.number)
            journal.heads.append((entry.seq, f"the head of {message.day} in the log", head))
    return journal


def tables_in(url: Any) -> Tables:
    """The journal in a database.

    Raises:
        Failure: the database cannot be read.
    """
    with answering_for(url), ledger("record").Record(url) as record:
        return Tables(record.position(), record.journal(), record.heads())


def verify(journal: Journal | None, tables: Tables | None, known: Sequence[ChainHead]) -> Books:
    """Hold everything that is there against everything else. Where both live on, the tables must have been read first: they follow the
    log, and what they know of it by then the log that is read later must hold."""
    told = [("the head that was given", head) for head in known]
    findings: list[tuple[str, Finding]] = []
    of_log = of_tables = None
    position = 0
    if journal is not None:
        of_log = audit(journal.entries, [*((origin, head) for _, origin, head in journal.heads), *told])
        findings += [("log", each) for each in (*journal.unreadable, *of_log.findings)]
    if tables is not None:
        position, entries, heads = tables.position, tables.entries, list(tables.heads)
        if journal is not None:
            heads += [(origin, head) for seq, origin, head in journal.heads if seq <= position]
            findings += [("tables", each) for each in _against_log(journal, entries, position)]
        of_tables = audit(entries, heads if journal is not None else [*heads, *told])
        findings += [("tables", each) for each in of_tables.findings]
    return Books(of_log, of_tables, position, findings)


def _against_log(journal: Journal, entries: Sequence[Booked], position: int) -> list[Finding]:
    found = compare([each for each in journal.entries if each.seq <= position], entries)
    if position > journal.last_seq:
        text = f"the tables stand at event {position}, the log ends at {journal.last_seq}"
        found.insert(0, Finding("TRUNCATED", "the log", text))
    return found
