"""What has happened: routes that page through the log, newest first, and tell the story of an id."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Path, Query
from msgspec.structs import asdict
from starlette.responses import Response

from libs.common.messages import AgentSignals, AlertRaised, DecisionsMade, ExecutionReport, Message, OrderSubmitting
from libs.desk.desk import Desk
from libs.desk.index import Row, Wanted
from libs.desk.lines import alert_line, fill_line, order_line
from libs.desk.story_search import Ambiguous, NothingCalled
from libs.desk.story_target import decoded
from libs.desk.story_text import story_document
from libs.runtime.adapter import LogEntry
from libs.runtime.bus import BusError
from services.gateway.answers import (
    Alerts,
    Decisions,
    DecisionsItem,
    EventItem,
    Events,
    FillItem,
    Fills,
    OrderItem,
    Orders,
    Signals,
    SignalsItem,
    StoryTold,
)
from services.gateway.callers import Needs
from services.gateway.cursors import After, Before, Instrument, Limit, page_of
from services.gateway.documents import shows, told
from services.gateway.problems import Problem
from services.gateway.standing_routes import ADesk

CHOICES_SHOWN_MAX = 20
NAMES_MAX = 20

router = APIRouter(prefix="/api/v1", dependencies=[Depends(Needs("read"))], tags=["log"])

Names = Annotated[list[Annotated[str, Query(max_length=64)]], Query(max_length=NAMES_MAX)]


@router.get("/orders", response_class=Response, responses=shows(Orders))
async def orders(
    desk: ADesk, instrument: Instrument = "", before: Before = None, after: After = None, limit: Limit = 50
) -> Response:
    """Orders by when they were sent, each as it stands now; and all that are open."""
    page = await page_of(desk, Wanted(roles=("submitting",), instrument=instrument), before, after, limit)
    sent = [
        (row.seq, message) for row, message in await _messages(desk, page.rows) if isinstance(message, OrderSubmitting)
    ]
    is_open = [line for line in desk.view.open_orders if instrument in ("", line.instrument)]
    counts = desk.view.standing.orders
    items = [
        OrderItem(seq=seq, **asdict(desk.view.orders.get(message.cl_ord_id) or order_line(message)))
        for seq, message in sent
    ]
    return told(Orders(open=is_open, counts=counts, items=items, next=page.next, previous=page.previous))


@router.get("/fills", response_class=Response, responses=shows(Fills))
async def fills(
    desk: ADesk, instrument: Instrument = "", before: Before = None, after: After = None, limit: Limit = 50
) -> Response:
    """Executions."""
    page = await page_of(desk, Wanted(roles=("fill",), instrument=instrument), before, after, limit)
    items = [
        FillItem(seq=row.seq, **asdict(fill_line(said)))
        for row, said in await _messages(desk, page.rows)
        if isinstance(said, ExecutionReport)
    ]
    return told(Fills(items=items, next=page.next, previous=page.previous))


@router.get("/signals", response_class=Response, responses=shows(Signals))
async def signals(
    desk: ADesk,
    agent: Annotated[str, Query(max_length=64, description="only of this agent")] = "",
    before: Before = None,
    after: After = None,
    limit: Limit = 50,
) -> Response:
    """What agents thought of each batch of bars."""
    producers = (f"agent.{agent}",) if agent else ()
    page = await page_of(desk, Wanted(roles=("signals",), producers=producers), before, after, limit)
    items = [
        SignalsItem(
            seq=row.seq, agent_id=said.agent_id, ts=said.end_ts, signals=list(said.signals), trace=f"message:{said.id}"
        )
        for row, said in await _messages(desk, page.rows)
        if isinstance(said, AgentSignals)
    ]
    return told(Signals(items=items, next=page.next, previous=page.previous))


@router.get("/decisions", response_class=Response, responses=shows(Decisions))
async def decisions(desk: ADesk, before: Before = None, after: After = None, limit: Limit = 50) -> Response:
    """What was decided about each batch of bars, with every vote."""
    page = await page_of(desk, Wanted(roles=("decision",)), before, after, limit)
    items = [
        DecisionsItem(
            seq=row.seq,
            ts=said.end_ts,
            mode=said.mode,
            model_driven=said.model_driven,
            model_asked=said.model_asked,
            decisions=list(said.decisions),
            trace=f"message:{said.id}",
        )
        for row, said in await _messages(desk, page.rows)
        if isinstance(said, DecisionsMade)
    ]
    return told(Decisions(items=items, next=page.next, previous=page.previous))


@router.get("/alerts", response_class=Response, responses=shows(Alerts))
async def alerts(
    desk: ADesk, instrument: Instrument = "", before: Before = None, after: After = None, limit: Limit = 50
) -> Response:
    """What a person should know, or should have known."""
    page = await page_of(desk, Wanted(roles=("alert",), instrument=instrument), before, after, limit)
    items = [
        alert_line(row.seq, said) for row, said in await _messages(desk, page.rows) if isinstance(said, AlertRaised)
    ]
    return told(Alerts(items=items, next=page.next, previous=page.previous))


@router.get("/events", response_class=Response, responses=shows(Events))
async def events(
    desk: ADesk,
    type: Annotated[Names, Query(description="only of these types, like order_denied.v1")] = [],  # noqa: B006  never changed
    role: Annotated[Names, Query(description="only of these parts in a story, like fill or verdict")] = [],  # noqa: B006
    producer: Annotated[Names, Query(description="only of these writers, like risk")] = [],  # noqa: B006
    instrument: Instrument = "",
    correlation_id: Annotated[str, Query(max_length=128, description="only of this story")] = "",
    before: Before = None,
    after: After = None,
    limit: Limit = 50,
) -> Response:
    """The log, but for prices."""
    wanted = Wanted(
        kinds=tuple(type),
        roles=tuple(role),
        producers=tuple(producer),
        instrument=instrument,
        correlation_id=correlation_id,
    )
    page = await page_of(desk, wanted, before, after, limit)
    items = [_event(row, await desk.text_of(row)) for row in page.rows]
    return told(Events(items=items, next=page.next, previous=page.previous))


@router.get("/trace/{wanted}", response_class=Response, responses=shows(StoryTold, 409))
async def trace(
    desk: ADesk,
    wanted: Annotated[
        str,
        Path(
            max_length=200, description="an id, its first 8 characters, a `trace` that another answer gave, or `latest`"
        ),
    ],
) -> Response:
    """The story of an id: bar, signals, intent, verdict with every check, order, fill, posting, message."""
    try:
        story = await desk.story(wanted)
    except NothingCalled:
        raise Problem(404, "not-found", "nothing in this log is called so") from None
    except Ambiguous as error:
        keys = [{"where": "path.wanted", "what": each.key} for each in error.targets[:CHOICES_SHOWN_MAX]]
        raise Problem(409, "ambiguous", "it may mean any of `faults`; ask for one of them", faults=keys) from None
    except BusError:
        raise Problem(503, "log-away", "a part of this stands in the log only, and the log does not answer") from None
    return told(story_document(story))


# --- how each is said ---------------------------------------------------------------------------------------------


async def _messages(desk: Desk, rows: Any) -> list[tuple[Row, Message]]:
    """The events of a page; those whose text cannot be had now are left out."""
    found = []
    for row in rows:
        text = await desk.text_of(row)
        message = None if text is None else decoded(LogEntry(row.seq, row.subject, text))
        if message is not None:
            found.append((row, message))
    return found


def _event(row: Row, text: bytes | None) -> EventItem:
    return EventItem(
        seq=row.seq,
        subject=row.subject,
        type=row.type,
        role=row.role,
        producer=row.producer,
        ts=row.ts_init,
        correlation_id=row.correlation_id,
        message=None if text is None else msgspec.Raw(text),
    )
