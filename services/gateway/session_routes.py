"""A browser's session: the token moves from a form into a cookie that no script can read."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field, SecretStr
from starlette.responses import Response

from services.gateway.answers import Session
from services.gateway.callers import COOKIE, Caller, Needs
from services.gateway.documents import problems, shows, told
from services.gateway.doors import SESSION
from services.gateway.gatekeeper import Gatekeeper
from services.gateway.problems import Problem
from services.gateway.settings import Settings

DAYS_MAX_S = 7 * 86_400

router = APIRouter(tags=["session"])


class Login(BaseModel):
    """A token."""

    model_config = ConfigDict(extra="forbid", strict=True)

    token: SecretStr = Field(min_length=1, max_length=200)


@router.post(SESSION, response_class=Response, responses=shows(Session, 400, 415))
async def begin(request: Request, login: Login) -> Response:
    """Put a token into a cookie (HttpOnly, SameSite=Strict), for the console."""
    keeper: Gatekeeper = request.app.state.keeper
    token = keeper.known(request.scope, login.token.get_secret_value(), "console", f"POST {SESSION}")
    if not token.allows("read"):
        request.scope["state"]["refused"] = "SCOPE"
        raise Problem(403, "scope", "this needs a token for read")
    answer = told(Session(name=token.name, scopes=token.scopes, expires=token.expires))
    lasts_s = min(token.expires - int(time.time()), DAYS_MAX_S)
    answer.set_cookie(
        COOKIE,
        login.token.get_secret_value(),
        max_age=lasts_s,
        path="/",
        httponly=True,
        samesite="strict",
        secure=_is_secure(request),
    )
    return answer


@router.get(SESSION, response_class=Response, responses=shows(Session))
async def whose(caller: Annotated[Caller, Depends(Needs("read"))]) -> Response:
    """Whose token this is, and what it may do."""
    token = caller.token
    return told(Session(name=token.name, scopes=token.scopes, expires=token.expires))


@router.delete(
    SESSION,
    status_code=204,
    response_class=Response,
    responses={**problems(), 204: {"description": "there is no session any more"}},
    dependencies=[Depends(Needs("read"))],
)
async def end(request: Request) -> Response:
    """Take the cookie back. The token is as good as before: `bulkhead token revoke` ends it."""
    answer = Response(status_code=204)
    answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict", secure=_is_secure(request))
    return answer


def _is_secure(request: Request) -> bool:
    """Whether the browser sees us over TLS: ours, or that of something in front of us, which the page's own address tells."""
    settings: Settings = request.app.state.settings
    return settings.speaks_tls or request.headers.get("origin", "").startswith("https://")
