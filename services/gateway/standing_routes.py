"""How things stand now: routes that answer out of the desk's view, without touching a disk."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from libs.desk.desk import Desk
from libs.desk.index import Wanted
from libs.desk.verdicts import newest_verdicts, verdict_json
from services.gateway.answers import (
    Agents,
    Coverage,
    FeedLine,
    Feeds,
    Health,
    Performance,
    Portfolio,
    Positions,
    Risk,
    VerdictLine,
)
from services.gateway.callers import Needs
from services.gateway.documents import described, shows, told
from services.gateway.watch import Watch

VERDICTS_LOOK_BACK = 200

router = APIRouter(prefix="/api/v1", dependencies=[Depends(Needs("read"))], tags=["standing"])


def desk_of(request: Request) -> Desk:
    """The desk that this application shows."""
    desk: Desk = request.app.state.desk
    return desk


def watch_of(request: Request) -> Watch:
    """What is watched beside the log."""
    watch: Watch = request.app.state.watch
    return watch


ADesk = Annotated[Desk, Depends(desk_of)]
AWatch = Annotated[Watch, Depends(watch_of)]


@router.get("/health", response_class=Response, responses={**shows(Health), 503: described(Health)})
async def health(watch: AWatch) -> Response:
    """How the system is: 200 only where nothing is wrong, else 503 with the same document, which says what."""
    found = watch.health()
    return told(found, 200 if found.status == "up" else 503)


@router.get("/portfolio", response_class=Response, responses=shows(Portfolio))
async def portfolio(desk: ADesk) -> Response:
    """What the book is worth."""
    view, facts = desk.view, desk.view.standing.facts
    trips = view.record.trips.closed
    won = sum(trip.pnl > 0 for trip in trips)
    answer = Portfolio(
        book=facts.book,
        mode=facts.mode,
        as_of=facts.as_of,
        trading_state=facts.trading_state,
        books=facts.books,
        trace="" if view.equity is None else f"message:{view.equity.id}",
        curve=view.curve,
        positions=view.position_lines,
        trades_closed=len(trips),
        trades_won=won,
        win_rate=won / len(trips) if trips else None,
    )
    return told(answer)


@router.get("/positions", response_class=Response, responses=shows(Positions))
async def positions(desk: ADesk) -> Response:
    """Everything that is held, with what protects it."""
    return told(Positions(as_of=desk.view.standing.facts.as_of, items=desk.view.position_lines))


@router.get("/performance", response_class=Response, responses=shows(Performance))
async def performance(watch: AWatch) -> Response:
    """What the book has earned, with intervals; worked out at most once a minute."""
    return told(await watch.performance())


@router.get("/risk", response_class=Response, responses=shows(Risk))
async def risk(desk: ADesk) -> Response:
    """What trading may do now, and how near its limits are."""
    standing, facts = desk.view.standing, desk.view.standing.facts
    rows = await desk.page(Wanted(roles=("verdict",)), VERDICTS_LOOK_BACK)
    entries = [entry for row in reversed(rows) if (entry := row.entry) is not None]
    verdicts = [msgspec.convert(verdict_json(each), VerdictLine) for each in newest_verdicts(entries)]
    answer = Risk(
        trading_state=facts.trading_state,
        trading_reason=facts.trading_reason,
        reconciled=facts.reconciled,
        mismatches=facts.mismatches,
        books=facts.books,
        stops=Coverage(is_whole=not standing.uncovered, uncovered=standing.uncovered, dust=standing.dust),
        quarantined=list(facts.quarantined.values()),
        doubts=facts.doubts,
        drifts=facts.drifts,
        verdicts=verdicts,
    )
    return told(answer)


@router.get("/feeds", response_class=Response, responses=shows(Feeds))
async def feeds(desk: ADesk) -> Response:
    """Prices as they were told last, and whether they are believed."""
    view = desk.view
    answer = Feeds(
        feed=FeedLine(**view.standing.feed),
        doubts=view.standing.facts.doubts,
        prices=[view.prices[name] for name in sorted(view.prices)],
        levels=dict(sorted(view.zones.items())),
    )
    return told(answer)


@router.get("/agents", response_class=Response, responses=shows(Agents))
async def agents(desk: ADesk) -> Response:
    """What agents think, and what their votes were worth."""
    view = desk.view
    answer = Agents(
        model=view.standing.facts.model,
        scores=[] if view.scores is None else list(view.scores.scores),
        signals=[line for _, line in sorted(view.signals.items())],
        regimes=dict(sorted(view.regimes.items())),
    )
    return told(answer)
