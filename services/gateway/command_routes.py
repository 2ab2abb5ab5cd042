"""Orders of operators: idempotent by the client's `command_id`, appended to the log, answered with the effect they had."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from libs.desk.commands import OVERRIDE_HOURS_MAX, NotSaid, Order, Outcome
from libs.desk.desk import Desk
from libs.desk.voice import AlreadySaid
from libs.runtime.bus import BusError
from services.gateway.callers import Caller, Needs
from services.gateway.documents import described, shows, told
from services.gateway.problems import Problem
from services.gateway.settings import Settings
from services.gateway.standing_routes import desk_of

WAIT_S_MAX = 20.0

router = APIRouter(prefix="/api/v1/commands", tags=["commands"])


class Command(BaseModel):
    """What every order says."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    command_id: str = Field(
        pattern=r"^[A-Za-z0-9_-]{8,64}$",
        description="chosen by you, new for every order; sent again with the same order it changes nothing",
    )
    reason: str = Field(
        min_length=1,
        max_length=500,
        pattern=r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$",
        description="why; it stands in the log for ever",
    )
    wait_s: float | None = Field(
        default=None, ge=0, le=WAIT_S_MAX, description="how long to wait for what it brings about (s)"
    )


class Cancel(Command):
    """Take back entries that rest at the venue."""

    cl_ord_id: str = Field(
        default="", pattern=r"^[A-Za-z0-9_-]{0,64}$", description="our id of an entry; without it all that rest"
    )


class Override(Command):
    """Let entries of one side of an instrument go against the weekly regime for some hours."""

    instrument: str = Field(max_length=32, pattern=r"^[A-Z0-9]{1,15}-[A-Z0-9]{1,15}$")
    side: Literal["BUY", "SELL"] = "BUY"
    hours: float = Field(ge=0, le=OVERRIDE_HOURS_MAX, description="0 ends the one in force")


_ANSWERS: dict[int | str, dict[str, Any]] = {
    **shows(Outcome, 400, 409, 415),
    202: {**described(Outcome), "description": "it is in the log, and nobody has acted on it yet"},
}
Operator = Annotated[Caller, Depends(Needs("operate"))]
Admin = Annotated[Caller, Depends(Needs("admin"))]


@router.post("/halt", response_class=Response, responses=_ANSWERS)
async def halt(request: Request, wanted: Command, caller: Operator) -> Response:
    """No new entries until a human resumes, and those that rest are taken back; exits and stops go on."""
    return await _said(request, wanted, Order(word="HALT", reason=wanted.reason, author=caller.name), caller)


@router.post("/reduce", response_class=Response, responses=_ANSWERS)
async def reduce(request: Request, wanted: Command, caller: Operator) -> Response:
    """Positions may only become smaller."""
    return await _said(request, wanted, Order(word="REDUCE", reason=wanted.reason, author=caller.name), caller)


@router.post("/resume", response_class=Response, responses=_ANSWERS)
async def resume(request: Request, wanted: Command, caller: Operator) -> Response:
    """Trade again; the reason must say why it is safe."""
    return await _said(request, wanted, Order(word="RESUME", reason=wanted.reason, author=caller.name), caller)


@router.post("/flatten", response_class=Response, responses=_ANSWERS)
async def flatten(request: Request, wanted: Command, caller: Operator) -> Response:
    """Halt, and sell everything that can be sold."""
    return await _said(request, wanted, Order(word="FLATTEN", reason=wanted.reason, author=caller.name), caller)


@router.post("/cancel", response_class=Response, responses=_ANSWERS)
async def cancel(request: Request, wanted: Cancel, caller: Operator) -> Response:
    """Take back an entry that rests at the venue, or all of them; stops, targets and exits stay."""
    order = Order(word="CANCEL", reason=wanted.reason, author=caller.name, cl_ord_id=wanted.cl_ord_id)
    return await _said(request, wanted, order, caller)


@router.post("/override", response_class=Response, responses=_ANSWERS)
async def override(request: Request, wanted: Override, caller: Admin) -> Response:
    """Let entries of one side of an instrument go against the weekly regime, or end that."""
    order = Order(
        word="OVERRIDE",
        reason=wanted.reason,
        author=caller.name,
        instrument=wanted.instrument,
        side=wanted.side,
        hours=wanted.hours,
    )
    return await _said(request, wanted, order, caller)


async def _said(request: Request, wanted: Command, order: Order, caller: Caller) -> Response:
    """Say it. Names of orders are each token's own: nobody can use up another's."""
    desk: Desk = desk_of(request)
    settings: Settings = request.app.state.settings
    wait_s = settings.gateway_command_wait_s if wanted.wait_s is None else wanted.wait_s
    try:
        outcome = await desk.order(order, f"{caller.token.id}:{wanted.command_id}", wait_s)
    except AlreadySaid:
        request.scope["state"]["refused"] = "USED_TWICE"
        raise Problem(409, "used-twice", "this command_id was the name of another order; choose a new one") from None
    except NotSaid as error:
        raise Problem(503, "not-said", f"{error.text}; {error.cure}", headers={"Retry-After": "1"}) from None
    except BusError:
        text = "it is in the log; what came of it cannot be read now: send it again, or look at /api/v1/risk"
        raise Problem(503, "not-known", text, headers={"Retry-After": "1"}) from None
    return told(outcome, 200 if outcome.answered else 202)
