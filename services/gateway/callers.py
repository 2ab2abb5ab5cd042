"""Who asks, and what a route needs of him. The credential is looked at before any route (`doors`); a route only names the scope that it needs."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from fastapi import Request, Security
from fastapi.security import APIKeyCookie, HTTPBearer

from libs.desk.tokens import Scope, Token
from services.gateway.problems import Problem

COOKIE = "bulkhead_session"
OUR_HEADER = b"x-bulkhead"

Door = Literal["api", "console", "webhook"]

_bearer = HTTPBearer(auto_error=False, scheme_name="token", description="a token of `bulkhead token create`")
_cookie = APIKeyCookie(
    name=COOKIE,
    auto_error=False,
    scheme_name="session",
    description="a token that POST /api/v1/session has put into a cookie; what changes something needs the header `X-Bulkhead: 1`, too",
)


class Caller(msgspec.Struct, frozen=True):
    """Somebody whose token is valid."""

    token: Token
    door: Door
    address: str

    @property
    def name(self) -> str:
        """How he signs what he orders."""
        return f"{self.token.name} (token {self.token.id})"


class Needs:
    """A route's dependency: the caller's token must allow `scope`. The same object in a test says what each route needs."""

    def __init__(self, scope: Scope):
        self.scope = scope

    def __call__(
        self,
        request: Request,
        bearer: Annotated[object, Security(_bearer)] = None,
        cookie: Annotated[object, Security(_cookie)] = None,
    ) -> Caller:
        """The caller.

        Raises:
            Problem: 403; or 401, if a route was forgotten in `doors`.
        """
        caller = request.scope["state"].get("caller")
        if not isinstance(caller, Caller):
            raise Problem(401, "no-token", "this needs a token")
        if not caller.token.allows(self.scope):
            request.scope["state"]["refused"] = "SCOPE"
            raise Problem(403, "scope", f"this needs a token for {self.scope}")
        return caller
