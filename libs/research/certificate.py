"""A certificate: what a paper book has shown, in a file that lets one book start live trading for a while. Pure.

It is issued where everything that is asked was shown, or where an operator says by name, and why, that it need not be; then it lists exactly
what was not shown. Its digest (SHA-256 over the canonical JSON of all other fields) tells whether anything in it was changed. It is no signature:
who owns the machine can write any certificate he likes. What holds him to it is the log, in which the digest, the name and the reason stand.

Evidence ages, files do not: a certificate runs out by the age of the days that were judged, however late it was written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any, Literal

import msgspec

from libs.common.messages import Baseline
from libs.common.messages.base import Count, Instant
from libs.common.timeframe import DAY, SECOND
from libs.research.graduation import Criterion

FORMAT = "bulkhead.certificate.v1"
BYTES_MAX = 1 << 20
OPERATOR_CHARS_MAX, REASON_CHARS_MAX = 64, 500
DECIDING = ("agent.", "portfolio", "risk", "exec")
"""The writers whose settings are the strategy: what is wished, how much of it, and how it is left again."""
WHERE = frozenset({"venue_url", "clock_url", "gate_public_key"})
"""Settings that say where it is traded, and not how."""
AHEAD_S_MAX = 60
"""So far may the clock that dated a certificate have been ahead of ours."""
AGAIN = "make a new one of the paper book: `bulkhead graduate --home PAPER_HOME --out FILE`"


class CertificateRefused(Exception):
    """It is none, or not for this start; the text says why, `cure` what to do."""

    def __init__(self, text: str, cure: str = AGAIN):
        super().__init__(text)
        self.cure = cure


class JudgedLog(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which log was judged: its events from `first_seq` to `last_seq`, the last of `last_ts` (ns), and the head of its journal as
    `bulkhead ledger verify` prints it (digest:number)."""

    first_seq: Count
    last_seq: Count
    last_ts: Instant
    journal_head: str


class Started(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a writer was started last: its code, and a digest of the settings that can change its decisions."""

    code_version: str
    settings: str


class Override(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody takes it upon himself, and exactly what he does without, a line each: its name, what was seen, what was asked."""

    operator: str
    reason: str
    unmet: tuple[str, ...]


class Certificate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`criteria` are the book's, `readiness` the system's, `days` those that count. `strategy`: agents, portfolio and gate by writer.
    `baseline` is what live trading is later held against; without metrics it is not. `override` is None where everything was shown."""

    format: Literal["bulkhead.certificate.v1"] = FORMAT
    book: str
    issued_at: Instant
    code_version: str
    days: tuple[date, ...]
    criteria: tuple[Criterion, ...]
    readiness: tuple[Criterion, ...]
    log: JudgedLog
    strategy: dict[str, Started]
    baseline: Baseline
    override: Override | None
    digest: str = ""

    @property
    def unmet(self) -> tuple[str, ...]:
        """What was not shown, a line each."""
        return unmet_lines((*self.criteria, *self.readiness))

    def expires_at(self, days_max: int) -> int:
        """Until when (ns) it lets a book start: `days_max` days after the last day that counts; where none does, after the last event."""
        last_day = max(self.days, default=None)
        ended = _midnight(last_day) + DAY if last_day is not None else self.log.last_ts
        return min(self.issued_at, self.log.last_ts, ended) + days_max * DAY


def unmet_lines(criteria: Iterable[Criterion]) -> tuple[str, ...]:
    """Those that are not met, each in a line that begins with its name."""
    return tuple(f"{each.name}: {each.seen} (asked: {each.asked})" for each in criteria if not each.met)


def sealed(certificate: Certificate) -> Certificate:
    """The same, with the digest of its content.

    Raises:
        CertificateRefused: something is not met and nobody overrides it, or the override is not as it must be.
    """
    _refuse_contradiction(certificate)
    return msgspec.structs.replace(certificate, digest=_digest(certificate))


def written(certificate: Certificate) -> bytes:
    """The file: JSON that a person can read."""
    return msgspec.json.format(_encoder.encode(certificate), indent=2) + b"\n"


def read(text: bytes) -> Certificate:
    """What a file holds.

    Raises:
        CertificateRefused: it is no certificate, not whole, or contradicts itself.
    """
    if len(text) > BYTES_MAX:
        raise CertificateRefused(f"it is no certificate: {len(text):,} bytes")
    try:
        found = _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CertificateRefused(f"it is no certificate of this version: {str(error)[:200]}") from None
    if found.digest != _digest(found) or text != written(found):
        raise CertificateRefused("it was changed after it was issued: its content and its digest do not go together")
    _refuse_contradiction(found)
    return found


def refuse_unless_in_force(
    certificate: Certificate, *, book: str, code_version: str, now: int, days_max: int
) -> Certificate:
    """Return it if it lets `book` start at `now` (ns) with this code.

    Raises:
        CertificateRefused: it is another book's, of other code, from the future, or has run out.
    """
    if certificate.book != book:
        raise CertificateRefused(f"it is for the book {certificate.book!r}, and this is {book!r}")
    if certificate.code_version != code_version:
        raise CertificateRefused(
            f"it was issued for code {certificate.code_version}, and the code at hand is {code_version}",
            f"run that code; or judge the paper book again with this one: {AGAIN.partition(': ')[2]}",
        )
    if certificate.issued_at > now + AHEAD_S_MAX * SECOND:
        raise CertificateRefused(f"it is dated {_day(certificate.issued_at)}, which is to come", "is the clock right?")
    if now >= (end := certificate.expires_at(days_max)):
        raise CertificateRefused(f"it ran out on {_day(end)}: what it was judged on is older than {days_max} days")
    return certificate


def complaint_about(operator: str, reason: str) -> str:
    """What is wrong with an override's words; empty: nothing."""
    for name, text, most in (("operator", operator, OPERATOR_CHARS_MAX), ("reason", reason, REASON_CHARS_MAX)):
        if not text.strip():
            return f"an override needs {'a name' if name == 'operator' else 'a reason'}: the {name} is blank"
        if len(text) > most:
            return f"the {name} has {len(text)} characters; at most {most}"
        if not text.isprintable():
            return f"the {name} holds a character that cannot be printed"
    return ""


def settings_digest(settings: dict[str, Any]) -> str:
    """What settings are told apart by: the digest of their canonical JSON, without `WHERE`."""
    how = {name: value for name, value in settings.items() if name not in WHERE}
    return hashlib.sha256(_encoder.encode(how)).hexdigest()


def _refuse_contradiction(certificate: Certificate) -> None:
    override, unmet = certificate.override, certificate.unmet
    if override is None:
        if unmet or not certificate.criteria or not certificate.readiness:
            missing = ", ".join(line.partition(":")[0] for line in unmet) or "everything"
            raise CertificateRefused(f"nobody overrides what was not shown: {missing}")
        return
    if complaint := complaint_about(override.operator, override.reason):
        raise CertificateRefused(complaint)
    if not unmet or override.unmet != unmet:
        raise CertificateRefused("what it overrides is not what was not shown")


def _digest(certificate: Certificate) -> str:
    return hashlib.sha256(_encoder.encode(msgspec.structs.replace(certificate, digest=""))).hexdigest()


def _midnight(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * SECOND


def _day(ts: int) -> str:
    return f"{datetime.fromtimestamp(ts // SECOND, UTC):%Y-%m-%d %H:%M} UTC"


_encoder = msgspec.json.Encoder(order="deterministic")
_decoder = msgspec.json.Decoder(Certificate)
