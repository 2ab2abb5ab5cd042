"""`bulkhead graduate`: what a paper book has proved, what stands between it and live trading, and the certificate that unlocks it."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Group, RenderableType
from rich.text import Text

from libs.desk.saying import day_and_time_of
from services.cli import trace
from services.cli.admission import recall
from services.cli.answering import answering, show
from services.cli.exit_codes import CANNOT_WRITE, NOT_YET, OK, USAGE, Failure
from services.cli.options import Dump, Home, Json
from services.cli.place import find_place, stack_settings

UNLOCKS = (
    "`bulkhead graduate --out certificate.json` writes the certificate once everything is met;"
    " `bulkhead up --mode live --certificate certificate.json --home LIVE_HOME` trades with it.",
    "An operator may go without: --out with --override --operator NAME --reason TEXT. What that costs: name, reason and every line that"
    " says no stand in the certificate and for ever in the live log, people are paged, and `bulkhead status` says so and finds fault while it is in force.",
)


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line wishes beside the judgement."""

    out: Path | None
    override: bool
    operator: str
    reason: str
    baseline_out: Path | None

    def refuse_nonsense(self) -> None:
        """An override is whole or not at all.

        Raises:
            Failure
        """
        from libs.research.certificate import complaint_about

        if self.out is not None and self.baseline_out is not None and self.out.resolve() == self.baseline_out.resolve():
            raise Failure(
                USAGE, "certificate and baseline are two files", "name different ones with --out and --baseline-out"
            )
        if self.out is None and self.override:
            raise Failure(USAGE, "an override is written into a certificate", "name a new file with --out")
        if not self.override and (self.operator or self.reason):
            raise Failure(USAGE, "a name and a reason are for an override", "say --override, or leave them out")
        if self.override and (complaint := complaint_about(self.operator, self.reason)):
            cure = "say who you are with --operator NAME, and why with --reason TEXT; both stand in the log for ever"
            raise Failure(USAGE, complaint, cure)


def graduate(
    ctx: typer.Context,
    from_file: Dump = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write the certificate, a new file.")
    ] = None,
    override: Annotated[bool, typer.Option("--override", help="Unlock although something was not shown.")] = False,
    operator: Annotated[str, typer.Option("--operator", help="Who overrides.", show_default=False)] = "",
    reason: Annotated[
        str, typer.Option("--reason", help="Why; it stands in the log for ever.", show_default=False)
    ] = "",
    home: Home = None,
    baseline_out: Annotated[
        Path | None,
        typer.Option("--baseline-out", help="Write what the book has shown to this file, for `bulkhead watch`."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Hold the log of a paper book against what is asked before live trading, say what is missing, and write the certificate that unlocks it."""
    with answering(as_json):
        from libs.trading.drift import lines as watch_lines
        from libs.trading.track_record import lines
        from services.cli.baseline import watch_of, write_baseline
        from services.cli.certify import judge

        wish = Asked(out=out, override=override, operator=operator, reason=reason, baseline_out=baseline_out)
        wish.refuse_nonsense()
        settings = stack_settings(home or ctx.obj, strict=False)
        for line in recall(settings.home, settings.agents_extra):
            print(line, file=sys.stderr)
        source = trace.read_from(from_file) if from_file else trace.read_live(find_place(home or ctx.obj))
        with source as log:
            found = judge(log)
            written, watch = _certify(wish, found, log), watch_of(log)
        if baseline_out is not None:
            write_baseline(baseline_out, found.baseline)
        told = lines(found.record) if found.record is not None else ["no equity is known: the book was never opened"]
        answer = {
            "ready": found.is_ready,
            "criteria": msgspec.to_builtins(found.criteria),
            "readiness": msgspec.to_builtins(found.readiness),
            "days": [{**msgspec.to_builtins(each), "day": each.day.isoformat()} for each in found.days],
            "record": told,
            "baseline": msgspec.to_builtins(found.baseline),
            "watch": watch_lines(watch),
            "certificate": written,
        }
        show(answer if as_json else _text(answer), as_json)
    raise typer.Exit(OK if found.is_ready or written is not None else NOT_YET)


def _certify(wish: Asked, found: Any, log: Any) -> dict[str, Any] | None:
    """Write the certificate if one is wished for; what it says, or None.

    Raises:
        Failure: something is missing, or the file cannot be written.
    """
    from libs.research.certificate import CertificateRefused, Override, unmet_lines, written
    from services.cli.certify import certificate_of
    from services.cli.stack import CERTIFICATE_DAYS_MAX

    if wish.out is None:
        return None
    unmet = unmet_lines((*found.criteria, *found.readiness))
    if wish.override and not unmet:
        raise Failure(USAGE, "there is nothing to override: everything that is asked was shown", "leave out --override")
    if unmet and not wish.override:
        cure = "go on with paper trading until it is met; or an operator overrides it: --override --operator NAME --reason TEXT"
        raise Failure(NOT_YET, "\n".join(["no certificate, because this was not shown:", *unmet]), cure)
    override = Override(operator=wish.operator, reason=wish.reason, unmet=unmet) if wish.override else None
    try:
        certificate = certificate_of(found, log, now=time.time_ns(), override=override)
        with wish.out.open("xb") as file:
            file.write(written(certificate))
    except CertificateRefused as error:
        raise Failure(NOT_YET, str(error), error.cure) from error
    except OSError as error:
        raise Failure(CANNOT_WRITE, f"{wish.out}: {error.strerror}", "name a new file in a folder of yours") from error
    return {
        "file": str(wish.out),
        "book": certificate.book,
        "code_version": certificate.code_version,
        "digest": certificate.digest,
        "override": msgspec.to_builtins(override),
        "expires_at": certificate.expires_at(CERTIFICATE_DAYS_MAX),
    }


def _text(answer: dict[str, Any]) -> RenderableType:
    rows = [Text("What the book has shown", style="bold")]
    rows += [_row(each) for each in answer["criteria"]]
    rows += [Text("What the system has shown", style="bold")]
    rows += [_row(each) for each in answer["readiness"]]
    rows += [Text("What the strategy has shown: the baseline of a later comparison", style="bold")]
    rows += [Text(f"  {line}") for line in answer["record"]]
    rows += [Text("How the watch stands", style="bold"), *(Text(f"  {line}") for line in answer["watch"])]
    verdict = "Everything that is asked was shown." if answer["ready"] else "Live trading stays locked."
    if (written := answer["certificate"]) is not None:
        return Group(*rows, *_certificate_rows(written))
    return Group(*rows, Text(verdict, style="bold"), *(Text(line) for line in UNLOCKS))


def _certificate_rows(written: dict[str, Any]) -> list[Text]:
    until = day_and_time_of(written["expires_at"])
    rows = [
        Text(
            f"{written['file']} lets the book {written['book']} start live trading with this code until {until}.",
            style="bold",
        )
    ]
    if (override := written["override"]) is not None:
        count = len(override["unmet"])
        rows.append(
            Text(
                f"It is an override by {override['operator']}: {override['reason']}. Not shown: {count}, listed in it.",
                style="bold yellow",
            )
        )
    return [
        *rows,
        Text(f"Its digest is {written['digest']}."),
        Text(f"bulkhead up --mode live --certificate {written['file']} --home LIVE_HOME"),
    ]


def _row(each: dict[str, Any]) -> Text:
    told = f"{each['name']}: {each['seen']} (asked: {each['asked']})"
    return Text(f"  {'yes' if each['met'] else 'no ':3}  {told}", style="" if each["met"] else "yellow")
