"""The application: its routes, behind its doors."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Match

from libs.desk.desk import Desk
from libs.desk.tokens import Scope, TokenBook
from libs.runtime.metrics import ServiceMetrics
from services.gateway import (
    command_routes,
    log_routes,
    session_routes,
    standing_routes,
    stream_routes,
    webhook_routes,
)
from services.gateway.answers import Alive
from services.gateway.callers import Needs
from services.gateway.documents import openapi_of, told
from services.gateway.doors import Doors
from services.gateway.gatekeeper import Gatekeeper
from services.gateway.pages import FOLDER, Pages
from services.gateway.problems import Problem, http_answer, invalid_answer, problem_answer, request_id_of
from services.gateway.refusals import Refusals
from services.gateway.settings import Settings
from services.gateway.watch import Watch

ELSEWHERE = "elsewhere"

machines = APIRouter(include_in_schema=False)
ROUTERS = (
    machines,
    session_routes.router,
    standing_routes.router,
    log_routes.router,
    stream_routes.router,
    command_routes.router,
    webhook_routes.router,
)


class RouteLine(msgspec.Struct, frozen=True, order=True):
    """One route, and the scope that it needs; "": none."""

    path: str
    method: str
    scope: Scope | str


@machines.get("/livez")
async def livez() -> Response:
    """The process answers; it says nothing of anything else."""
    return told(Alive(True))


@machines.get("/openapi.json", dependencies=[Depends(Needs("read"))])
async def openapi(request: Request) -> Response:
    """The description of this API."""
    return JSONResponse(request.app.openapi())


def inventory() -> list[RouteLine]:
    """Every route but the console's files."""
    return sorted(
        RouteLine(route.path, method, _scope_of(route)) for route in _routes() for method in route.methods or ()
    )


def make_document() -> dict[str, Any]:
    """The OpenAPI document of all routes."""
    app = FastAPI()
    for router in ROUTERS:
        app.include_router(router)
    return openapi_of(app)


def make_app(
    settings: Settings,
    desk: Desk,
    watch: Watch,
    tokens: TokenBook,
    refusals: Refusals,
    metrics: ServiceMetrics,
    stopping: asyncio.Event,
    console: Path = FOLDER,
) -> Doors:
    """The whole application."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    keeper = Gatekeeper(settings, tokens, refusals)
    pages = Pages(console)
    state = app.state
    state.settings, state.desk, state.watch, state.keeper, state.stopping = settings, desk, watch, keeper, stopping
    state.brought = webhook_routes.Brought()
    state.listening = Counter()
    app.add_exception_handler(Problem, problem_answer)
    app.add_exception_handler(RequestValidationError, invalid_answer)
    app.add_exception_handler(HTTPException, http_answer)
    app.add_exception_handler(Exception, _defect_answer)
    for router in ROUTERS:
        app.include_router(router)
    document = make_document()
    app.openapi = lambda: document  # type: ignore[method-assign]

    @app.get("/{path:path}", include_in_schema=False)
    async def page(request: Request) -> Response:
        """A file of the console."""
        return pages.answer(request)

    return Doors(app, settings, keeper, metrics, lambda method, path: named(method, path, pages.paths))


def named(method: str, path: str, pages: tuple[str, ...] = ()) -> str:
    """What we call a path; what strangers make up has no name."""
    scope = {"type": "http", "method": method, "path": path, "root_path": ""}
    for route in _routes():
        if route.matches(scope)[0] is not Match.NONE:
            return route.path
    return "console" if path == "/" or path in pages else ELSEWHERE


async def _defect_answer(request: Request, error: Exception) -> JSONResponse:
    text = "this is a defect of ours; the log has it under this instance"
    return Problem(500, "defect", text).answer(request_id_of(request.scope))


def _routes() -> Iterator[APIRoute]:
    for router in ROUTERS:
        for route in router.routes:
            if isinstance(route, APIRoute):
                yield route


def _scope_of(route: APIRoute) -> str:
    scopes = {each.call.scope for each in route.dependant.dependencies if isinstance(each.call, Needs)}
    return " ".join(sorted(scopes))
