"""The OpenAPI document: what FastAPI knows of the routes, and the structs that they answer with, described as msgspec writes them."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.responses import Response

from services.gateway.answers import ALL
from services.gateway.problems import MEDIA_TYPE, ProblemBody

VERSION = "1.0.0"
REFERENCE = "#/components/schemas/{name}"
TITLES = {
    400: "the body is not JSON, or could be understood in two ways",
    401: "no token, or one that is not valid",
    403: "the token is not for this, or the request comes from a page of somebody else",
    404: "there is nothing here",
    405: "this path does not know this method",
    408: "the body took too long",
    409: "this cannot be meant: the id was used before, or it may name several things",
    413: "the body is too large",
    415: "the body is not application/json",
    422: "something in the request is not as it should be; `faults` says what",
    429: "too often; `Retry-After` says when to come again",
    431: "the headers are too large",
    500: "a defect of ours",
    503: "the log cannot be reached now, or there are too many listeners",
    504: "the answer took too long",
}
EVERYWHERE = (401, 403, 404, 405, 408, 413, 422, 429, 431, 500, 503, 504)
WITH_BODY = (400, 415)

_COMPONENTS: dict[str, Any] = {}
_REFERENCES: dict[Any, str] = {}


def told(answer: Any, status: int = 200) -> Response:
    """A struct as an answer."""
    return Response(msgspec.json.encode(answer), status, media_type="application/json")


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problem documents that a route may answer with, for its `responses`."""
    return {
        status: {
            "description": TITLES[status],
            "content": {MEDIA_TYPE: {"schema": {"$ref": REFERENCE.format(name="ProblemBody")}}},
        }
        for status in (*EVERYWHERE, *statuses)
    }


def shows(kind: Any, *statuses: int, status: int = 200) -> dict[int | str, dict[str, Any]]:
    """What a route answers with: a struct of `answers`, or one of the problems."""
    return {**problems(*statuses), status: described(kind)}


def described(kind: Any) -> dict[str, Any]:
    """One answer of a struct."""
    return {
        "description": (kind.__doc__ or "the answer").strip().splitlines()[0],
        "content": {"application/json": {"schema": {"$ref": _REFERENCES[kind]}}},
    }


def openapi_of(app: FastAPI) -> dict[str, Any]:
    """The whole document."""
    document = get_openapi(
        title="Bulkhead",
        version=VERSION,
        description="What the decision log says, and orders into it. Money is exact, as text; times are ns UTC of the clock that the stack follows.",
        routes=app.routes,
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas.update(_COMPONENTS)
    schemas["ProblemBody"] = _inlined(ProblemBody.model_json_schema())
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    return document


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """A model's schema without definitions of its own."""
    found = dict(schema)
    fault = found.pop("$defs")["Fault"]
    found["properties"] = {
        **found["properties"],
        "faults": {"anyOf": [{"type": "array", "items": fault}, {"type": "null"}]},
    }
    return found


def _learn() -> None:
    schemas, components = msgspec.json.schema_components(ALL, ref_template=REFERENCE)
    _COMPONENTS.update(components)
    _REFERENCES.update({kind: schema["$ref"] for kind, schema in zip(ALL, schemas, strict=True)})


_learn()
