"""Errors as problem documents (RFC 9457). They say what is wrong with the request and what to do; never a stack, a statement, a path, or what was sent."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

MEDIA_TYPE = "application/problem+json"
ERRORS_SHOWN_MAX = 10
_PART = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,40}")


class Fault(BaseModel):
    """One thing that is wrong with what was sent."""

    where: str = Field(description="body.reason, query.limit, …; a name that is not ours is a question mark")
    what: str


class ProblemBody(BaseModel):
    """A problem document (RFC 9457)."""

    type: str = Field(description="urn:bulkhead:problem: and a slug that never changes")
    title: str
    status: int
    detail: str
    instance: str = Field(description="names this answer in the gateway's log")
    faults: list[Fault] | None = None


class Problem(Exception):
    """A request cannot be answered as it wants; becomes a problem document."""

    def __init__(
        self,
        status: int,
        slug: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        faults: Sequence[Mapping[str, str]] = (),
    ):
        super().__init__(slug)
        self.status = status
        self.slug = slug
        self.detail = detail
        self.headers = dict(headers or {})
        self.faults = list(faults)

    def answer(self, request_id: str) -> JSONResponse:
        """The document, as an answer to the request called `request_id`."""
        content: dict[str, Any] = {
            "type": f"urn:bulkhead:problem:{self.slug}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "instance": f"urn:bulkhead:request:{request_id}",
        }
        if self.faults:
            content["faults"] = self.faults
        return JSONResponse(content, self.status, headers=self.headers, media_type=MEDIA_TYPE)


def request_id_of(scope: Mapping[str, Any]) -> str:
    """What the outermost layer has called this request."""
    return str(scope.get("state", {}).get("request_id", "unknown"))


async def problem_answer(request: Request, error: Exception) -> JSONResponse:
    """A `Problem` that a route has raised."""
    if not isinstance(error, Problem):
        raise TypeError("registered for Problem alone")
    return error.answer(request_id_of(request.scope))


async def invalid_answer(request: Request, error: Exception) -> JSONResponse:
    """What FastAPI found wrong with a request, without what was sent."""
    if not isinstance(error, RequestValidationError):
        raise TypeError("registered for RequestValidationError alone")
    faults = [{"where": _where(each), "what": _what(each)} for each in error.errors()[:ERRORS_SHOWN_MAX]]
    problem = Problem(422, "invalid", "the request is not as it should be; see faults", faults=faults)
    return problem.answer(request_id_of(request.scope))


async def http_answer(request: Request, error: Exception) -> JSONResponse:
    """What the router itself refuses: unknown paths, methods that a path does not know."""
    if not isinstance(error, HTTPException):
        raise TypeError("registered for HTTPException alone")
    slugs = {404: ("not-found", "there is nothing here"), 405: ("method", "this path does not know this method")}
    slug, detail = slugs.get(error.status_code, ("refused", "the request is refused"))
    return Problem(error.status_code, slug, detail, headers=error.headers).answer(request_id_of(request.scope))


def _where(error: Mapping[str, Any]) -> str:
    """Where in the request; names that are not ours are not repeated."""
    parts: Sequence[str | int] = error["loc"]
    if error.get("type") == "extra_forbidden":
        parts = [*parts[:-1], "?"]
    return ".".join(str(part) if isinstance(part, int) or _PART.fullmatch(part) else "?" for part in parts)


def _what(error: Mapping[str, Any]) -> str:
    match str(error.get("type", "")):
        case "extra_forbidden":
            return "there is no such field"
        case "json_invalid":
            return "this is not JSON"
    return str(error.get("msg", "not as it should be")).removeprefix("Value error, ")
