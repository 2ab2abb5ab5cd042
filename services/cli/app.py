"""`bulkhead`: the operator's command. Here are its words; what they do stands in the module each one calls.

Every answer is for people by default and for scripts with `--json`: then standard output holds one JSON document and nothing
else. Failures go to standard error, their last line says what to do, and the exit code tells them apart (`exit_codes`).
"""

from __future__ import annotations

import asyncio
import os
import sys
import traceback
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import RenderableType
from rich.text import Text

from libs.desk.story_text import story_document, story_text
from libs.runtime import logs
from libs.runtime.config_file import read_config
from libs.runtime.settings import SettingsError
from services.cli import (
    agents_app,
    backtest_app,
    backup_app,
    deploy_app,
    graduate_app,
    keys_app,
    ledger_app,
    log_app,
    market_app,
    monitoring_app,
    operator_app,
    performance_app,
    proof,
    risk_app,
    strategy_app,
    sweep_app,
    tail_app,
    token_app,
    top_app,
    trace,
    validate_app,
    watch_app,
)
from services.cli.admission import admit, recall
from services.cli.answering import answering, show, tell_failure, terminal
from services.cli.doctor_stack import every_complaint
from services.cli.environment import read_dotenv, unknown_settings
from services.cli.exit_codes import (
    DEFECT,
    FINDING,
    OK,
    POINTER,
    epilog,
)
from services.cli.options import Json
from services.cli.place import find_place, stack_settings
from services.cli.preflight import examine, findings_table, refuse_live
from services.cli.screen import Screen
from services.cli.stack import StackSettings
from services.cli.status import WithoutLog, gather
from services.cli.status_text import services_text, status_text
from services.cli.supervisor import run_up

app = typer.Typer(
    name="bulkhead",
    help="Bring the trading system up, see how it stands, explain and prove what it did, and stop it.",
    epilog=epilog(),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(log_app.app, name="log")
app.add_typer(backup_app.app, name="backup")
app.add_typer(deploy_app.app, name="deploy")
app.add_typer(risk_app.app, name="risk")
app.add_typer(agents_app.app, name="agents")
app.add_typer(keys_app.app, name="keys")
app.add_typer(ledger_app.app, name="ledger")
app.add_typer(strategy_app.app, name="strategy")
app.add_typer(token_app.app, name="token")
app.command(name="restore", epilog=POINTER)(backup_app.restore)
app.command(name="monitoring", epilog=POINTER)(monitoring_app.monitoring)
app.command(name="record", epilog=POINTER)(market_app.record)
app.command(name="import", epilog=POINTER)(market_app.import_files)
app.command(name="backtest", epilog=POINTER)(backtest_app.backtest)
app.command(name="sweep", epilog=POINTER)(sweep_app.sweep)
app.command(name="graduate", epilog=POINTER)(graduate_app.graduate)
app.command(name="performance", epilog=POINTER)(performance_app.performance)
app.command(name="watch", epilog=POINTER)(watch_app.watch)
app.command(name="validate", epilog=POINTER)(validate_app.validate)
app.command(name="top", epilog=POINTER)(top_app.top)
app.command(name="tail", epilog=POINTER)(tail_app.tail)
for word in operator_app.WORDS:
    app.command(epilog=POINTER)(word)

Home = Annotated[
    Path | None,
    typer.Option("--home", help="The state folder (default: BULKHEAD_HOME, else .bulkhead).", show_default=False),
]
Dump = Annotated[
    Path | None,
    typer.Option("--from-file", help="Read this dump (`bulkhead log dump`) instead of a running stack's log."),
]


@app.callback()
def _globals(ctx: typer.Context, home: Home = None) -> None:
    ctx.obj = home
    logs.configure("cli", "warning", sys.stderr)


def main() -> None:
    """The entry point. What nobody foresaw ends with a traceback and a code of its own, and is a defect."""
    try:
        app()
    except Exception:  # noqa: BLE001  the last line of defence: told in full, and not confused with a finding (exit code 1)
        traceback.print_exc()
        print("bulkhead: this is a defect of bulkhead; please report the lines above", file=sys.stderr)
        sys.exit(DEFECT)


# --- the stack ----------------------------------------------------------------------------------------------------


@app.command(epilog=POINTER)
def up(
    ctx: typer.Context,
    home: Home = None,
    mode: Annotated[
        str | None,
        typer.Option(
            help="sim: a simulated market, without network. paper: live market data, wall time, no key."
            " live: real orders, unlocked by a certificate. (BULKHEAD_MODE)"
        ),
    ] = None,
    certificate: Annotated[
        Path | None,
        typer.Option(help="live: what unlocks it, of `bulkhead graduate --out` (BULKHEAD_CERTIFICATE)."),
    ] = None,
    port_base: Annotated[int | None, typer.Option(help="The first of its ports (BULKHEAD_PORT_BASE).")] = None,
    data: Annotated[
        Path | None, typer.Option(exists=True, file_okay=False, help="Replay recorded market data from this folder.")
    ] = None,
    speed: Annotated[float | None, typer.Option(help="Venue seconds per second of yours.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Which generated market.")] = None,
) -> None:
    """Run the whole system on this machine: on a simulated market, on a live one with paper money, or (live) for real; Ctrl-C stops it.

    Other settings come from the environment and `.env`.
    """
    screen = Screen(terminal())
    with answering(as_json=False):
        if read_dotenv(Path(".env"), os.environ):
            screen.say("settings were read from .env, too; variables of the environment win", "dim")
        _tell_children("BULKHEAD_MODE", mode)
        _tell_children("BULKHEAD_CERTIFICATE", certificate.resolve() if certificate else None)
        _tell_children("BULKHEAD_PORT_BASE", port_base)
        _tell_children("BULKHEAD_SIM_DATA", data.resolve() if data else None)
        _tell_children("BULKHEAD_SIM_SPEED", speed)
        _tell_children("BULKHEAD_SIM_SEED", seed)
        settings = _settings_to_start(home or ctx.obj)
        config = read_config(os.environ)
        if config.path is not None:
            screen.say(f"settings were read from {config.path}; the profile is {settings.profile}", "dim")
        admit(settings, os.environ, screen.say)
        for line in unknown_settings(os.environ):
            screen.say(line)
        if settings.mode == "live":
            terminal().print(findings_table(findings := examine(home or ctx.obj, data)))
            refuse_live(settings, findings)
        code = run_up(settings)
    raise typer.Exit(code)


@app.command(epilog=POINTER)
def status(
    ctx: typer.Context,
    home: Home = None,
    as_json: Json = False,
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 if there is anything to look at.")] = False,
) -> None:
    """How it stands: services, orders, positions, equity, and what to look at."""
    with answering(as_json):
        try:
            found = asyncio.run(gather(find_place(home or ctx.obj)))
        except WithoutLog as failure:
            show(failure.answer() if as_json else services_text(failure.services), as_json)
            tell_failure(failure.text, failure.cure)
            raise typer.Exit(failure.code) from None
    show(found if as_json else status_text(found), as_json)
    raise typer.Exit(FINDING if check and found.findings else OK)


@app.command(name="doctor", epilog=POINTER)
def look(
    ctx: typer.Context,
    home: Home = None,
    data: Annotated[Path | None, typer.Option(help="A folder of recorded market data to look at, too.")] = None,
    as_json: Json = False,
) -> None:
    """What is wrong with this machine, the settings, the venue or the running stack, and what to do. Changes nothing.

    Live mode does not start while a check fails that says "must". Exit code 1: some check fails.
    """
    with answering(as_json):
        read_dotenv(Path(".env"), os.environ)  # as `up` would
        findings = examine(home or ctx.obj, data)
    worst = FINDING if any(each.level == "FAIL" for each in findings) else OK
    show({"ok": worst == OK, "checks": findings} if as_json else findings_table(findings), as_json)
    raise typer.Exit(worst)


def _settings_to_start(home: Path | None) -> StackSettings:
    """The stack's settings. Where they are refused, what is wrong with anybody's settings is told at once."""
    try:
        return stack_settings(home)
    except SettingsError as error:
        raise every_complaint(error, home, os.environ) from None


# --- the log ------------------------------------------------------------------------------------------------------


@app.command(name="trace", epilog=POINTER)
def tell(
    ctx: typer.Context,
    wanted: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="A correlation, intent, order, venue order, trade or message id; its first 8 characters do; or `latest`.",
        ),
    ],
    home: Home = None,
    from_file: Dump = None,
    as_json: Json = False,
) -> None:
    """The story of an id: bar, signals, intent, verdict with every check, order, fill, posting, message."""
    with answering(as_json):
        try:
            found = (
                trace.trace_dump(from_file, wanted)
                if from_file
                else trace.trace_live(find_place(home or ctx.obj), wanted)
            )
        except trace.Ambiguous as error:
            show({"ambiguous": _choices(error)} if as_json else _choices_text(error), as_json)
            raise typer.Exit(FINDING) from None
    if as_json:
        show(story_document(found), as_json)
    else:
        for line in story_text(found):
            terminal().print(line, soft_wrap=True)


def _choices(error: trace.Ambiguous) -> list[dict[str, str]]:
    return [{**msgspec.structs.asdict(target), "key": target.key} for target in error.targets]


def _choices_text(error: trace.Ambiguous) -> RenderableType:
    lines = [Text(f"{error}; say which:"), *(Text(f"  bulkhead trace {target.key}") for target in error.targets)]
    return Text("\n").join(lines)


@app.command(epilog=POINTER)
def replay(
    ctx: typer.Context,
    verify: Annotated[bool, typer.Option("--verify", help="Fail also when nothing at all could be compared.")] = False,
    from_file: Dump = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Derive every decision again from the log, with the code at hand, and compare byte for byte."""
    with answering(as_json):
        settings = stack_settings(home or ctx.obj)
        for line in recall(settings.home, settings.agents_extra):
            print(line, file=sys.stderr)
        report = proof.prove_dump(from_file) if from_file else proof.prove_live(find_place(home or ctx.obj))
    show(proof.proof_json(report) if as_json else proof.proof_text(report), as_json)
    code = proof.exit_code_of(report, verify=verify)
    if code != OK:
        tell_failure(*proof.complaint(report))
    raise typer.Exit(code)


def _tell_children(variable: str, value: object) -> None:
    """Options become the variables that the processes of the stack read."""
    if value is not None:
        os.environ[variable] = str(value)
