"""What unlocks live mode at a start: a certificate (`bulkhead graduate --out`) that is whole, this book's, of this code, and not too old.

There is no flag that lets one of these pass. Who wants to trade with other code, or longer, judges the paper book again, and where that does not show
all that is asked, overrides there, by name: one place to go without, one record of it. Looked at when a stack starts and not again: a certificate that
runs out under way stops nothing, because positions would be left to nobody; `bulkhead status` tells it, and the next start is refused.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from nats.aio.client import Client

from libs.common.ids import derive_id
from libs.common.messages import LiveUnlocked
from libs.desk.story_target import decoded
from libs.research.certificate import (
    BYTES_MAX,
    DECIDING,
    Certificate,
    CertificateRefused,
    read,
    refuse_unless_in_force,
    settings_digest,
)
from libs.runtime.bus import Bus
from libs.runtime.nats_config import api_prefix
from libs.runtime.registry import contract_of, version_at_hand
from libs.runtime.streams import TRADING
from services.cli.baseline import declare_baseline
from services.cli.child import ChildSpec
from services.cli.child_settings import load_child
from services.cli.command import USER, append
from services.cli.stack import StackSettings

SUBJECT = "ops.*.live_unlocked"


def certificate_in_force(settings: StackSettings, now: int) -> Certificate | None:
    """What lets these settings trade for real at `now` (ns); None where they do not.

    Raises:
        CertificateRefused: live mode is locked; the text says why.
    """
    if settings.has_own_venue:
        return None
    path = settings.certificate
    if path is None:
        cure = "`bulkhead graduate --home PAPER_HOME --out certificate.json` writes one or says what is missing; then name it with --certificate"
        raise CertificateRefused("it is locked, and no certificate was given", cure)
    try:
        with path.open("rb") as file:
            text = file.read(BYTES_MAX + 1)
    except OSError as error:
        raise CertificateRefused(f"its certificate {path} cannot be read: {error.strerror}", "name the file") from error
    try:
        return refuse_unless_in_force(
            read(text),
            book=settings.book,
            code_version=version_at_hand(),
            now=now,
            days_max=settings.certificate_days_max,
        )
    except CertificateRefused as refusal:
        raise CertificateRefused(f"its certificate {path} is refused: {refusal}", refusal.cure) from None


def strategy_differences(certificate: Certificate, specs: Iterable[ChildSpec]) -> list[str]:
    """A line for each agent, portfolio or gate that is told other settings than it had on paper: told, not refused, because for real money most
    people rightly want less. It is no longer exactly what was judged.

    Raises:
        SettingsError: a child refuses its own.
    """
    lines = []
    for spec in specs:
        writer = contract_of(spec.name).writer
        if not writer.startswith(DECIDING):
            continue
        judged = certificate.strategy.get(writer)
        now = settings_digest(msgspec.to_builtins(load_child(spec).machine()))
        if judged is None:
            lines.append(f"{writer} trades live and never ran in the paper book that was judged")
        elif judged.settings != now:
            lines.append(f"{writer} has other settings than in the paper book that was judged")
    return lines


async def declare_unlocked(
    client: Client, certificate: Certificate, *, author: str, days_max: int, now: int
) -> int | None:
    """Append what unlocked live trading, unless the log's last such word is of this very certificate and until the same day; returns its seq.

    The baseline of the certificate is declared before it: so it is in the log wherever the certificate is, and a restart does not undo what an
    operator has declared since.

    Raises:
        Failure, BusError, BaselineError: it is not known to be in the log, and nothing may trade.
    """
    bus = Bus(client, TRADING, api=api_prefix(contract_of(USER)))
    last = await bus.last_under(SUBJECT)
    said = None if last is None else decoded(last)
    known = isinstance(said, LiveUnlocked) and said.certificate == certificate.digest
    if known and said.expires_at == certificate.expires_at(days_max):
        return None
    if certificate.baseline.metrics and not known:
        await declare_baseline(client, certificate.baseline, author, now)
    seq, _ = await append(
        bus, "what unlocked live trading", lambda writer, tail: _unlocked(writer, tail, certificate, days_max, now)
    )
    return seq


def _unlocked(writer: str, tail: int, certificate: Certificate, days_max: int, now: int) -> LiveUnlocked:
    unlocked_id = derive_id("unlocked", writer, tail, certificate.digest)
    override = certificate.override
    return LiveUnlocked(
        id=unlocked_id,
        ts_event=now,
        ts_init=now,
        correlation_id=unlocked_id,
        producer=writer,
        book=certificate.book,
        grounds="MET" if override is None else "OVERRIDE",
        operator="" if override is None else override.operator,
        reason="" if override is None else override.reason,
        unmet=certificate.unmet,
        paper_days=len(certificate.days),
        certificate=certificate.digest,
        expires_at=certificate.expires_at(days_max),
    )
