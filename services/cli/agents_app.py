"""`bulkhead agents`: what the agents' votes were worth, and texts for the model to read."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from libs.common.ids import derive_id
from libs.common.messages import AgentScore, AgentsScored, DecisionsMade, TextHeard
from libs.common.subjects import TOKEN
from libs.desk.commands import is_instrument
from libs.desk.standing import ModelLine
from libs.desk.story_target import decoded
from libs.runtime.nats_config import api_prefix
from libs.runtime.registry import contract_of
from services.cli import command
from services.cli.answering import answering, show
from services.cli.exit_codes import FINDING, POINTER, Failure
from services.cli.observer import connected
from services.cli.options import Home, Json
from services.cli.place import Place, find_place
from services.cli.status_text import model_coverage

TEXT_CHARS_MAX = 4_000
SECOND_NS = 1_000_000_000

app = typer.Typer(help="What agents were worth; texts for the model.", epilog=POINTER, no_args_is_help=True)


@app.command(epilog=POINTER)
def scores(ctx: typer.Context, home: Home = None, as_json: Json = False) -> None:
    """Each agent's record: hit rate with its interval, calibration, earned weight, its share in what was earned."""
    with answering(as_json):
        scored, made = asyncio.run(_last_said(find_place(home or ctx.obj)))
        if scored is None:
            cure = "wait: a vote is resolved by the next bar, and scores are said once an hour of market time"
            raise Failure(FINDING, "no vote has been resolved yet", cure)
    coverage = None if made is None else ModelLine(made.mode, made.model_driven, made.model_asked)
    if as_json:
        show({"end_ts": scored.end_ts, "scores": list(scored.scores), "model": coverage}, as_json)
        return
    at = datetime.fromtimestamp(scored.end_ts // SECOND_NS, UTC)
    show(Text(f"as of {at:%Y-%m-%d %H:%M} UTC; model: {model_coverage(coverage)}"), as_json)
    show(_table(scored.scores), as_json)


@app.command(epilog=POINTER)
def tell(
    ctx: typer.Context,
    source: Annotated[str, typer.Option(help="Where the text is from: letters, digits, - and _.")],
    instrument: Annotated[
        str, typer.Argument(metavar="INSTRUMENT", help="What it is about; nothing: all instruments.")
    ] = "",
    text: Annotated[str, typer.Option(help="The text; without it standard input is read.")] = "",
    author: Annotated[str, typer.Option(help="Who brings it (default: this user).", show_default=False)] = "",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Give the model agent a text to read: it goes into the log, and is cleaned, fenced and flagged before a model sees it."""
    if not TOKEN.fullmatch(source):
        raise typer.BadParameter("a short name of letters, digits, - and _", param_hint="--source")
    if instrument and not is_instrument(instrument):
        raise typer.BadParameter("an instrument is written like BTC-USDT", param_hint="INSTRUMENT")
    found = _readable(text.encode(errors="surrogateescape") if text else sys.stdin.buffer.read(4 * TEXT_CHARS_MAX + 4))
    if not found.strip():
        raise typer.BadParameter("there is nothing to read", param_hint="--text")
    if len(found) > TEXT_CHARS_MAX:
        raise typer.BadParameter(f"at most {TEXT_CHARS_MAX} characters", param_hint="--text")
    with answering(as_json):
        place = find_place(home or ctx.obj)
        seq = asyncio.run(_append(place, instrument, source, found, author or command.operator_name()))
    show({"seq": seq} if as_json else Text(f"in the log as event {seq}"), as_json)


def _readable(raw: bytes) -> str:
    """The text in these bytes, whatever a stranger has put into them: what is no character stands as a question mark."""
    return raw.decode(errors="replace")


async def _last_said(place: Place) -> tuple[AgentsScored | None, DecisionsMade | None]:
    async with connected(place, command.USER, api_prefix(contract_of(command.USER))) as bus:
        scored, made = await bus.last_under("portfolio.scores"), await bus.last_under("portfolio.decisions")
    scores = None if scored is None else decoded(scored)
    decisions = None if made is None else decoded(made)
    return (
        scores if isinstance(scores, AgentsScored) else None,
        decisions if isinstance(decisions, DecisionsMade) else None,
    )


async def _append(place: Place, instrument: str, source: str, text: str, author: str) -> int:
    async with command.speaking(place) as (bus, now):

        def saying(writer: str, tail: int) -> TextHeard:
            text_id = derive_id("text", writer, tail, source, text)
            return TextHeard(
                id=text_id,
                ts_event=now,
                ts_init=now,
                correlation_id=text_id,
                producer=writer,
                instrument=instrument,
                source=source,
                published_at=now,
                text=text,
                author=author,
            )

        seq, _ = await command.append(bus, "the text", saying)
    return seq


def _table(found: tuple[AgentScore, ...]) -> RenderableType:
    names = ("agent", "kind", "votes", "right", "95 %", "brier", "ece", "weight", "sd", "promoted", "share bps")
    table = Table(*names, box=None, pad_edge=False, header_style="cyan")
    for score in found:
        table.add_row(
            score.agent_id,
            score.kind,
            f"{score.votes:,}",
            f"{score.hit_rate:.1%}",
            f"{score.hit_rate_lo:.1%} to {score.hit_rate_hi:.1%}",
            f"{score.brier:.3f}",
            f"{score.ece:.3f}",
            f"{score.weight:.2f}",
            f"{score.weight_sd:.2f}",
            "-" if score.kind == "RULE" else "yes" if score.is_promoted else "no",
            f"{score.share_bps:+.1f}",
        )
    return table
