"""The routes as data: which there are, whom they are for, and that everything they answer is described."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from services.gateway.app import inventory, make_document
from services.gateway.documents import EVERYWHERE, WITH_BODY

INVENTORY = """
/api/v1/agents GET read
/api/v1/alerts GET read
/api/v1/commands/cancel POST operate
/api/v1/commands/flatten POST operate
/api/v1/commands/halt POST operate
/api/v1/commands/override POST admin
/api/v1/commands/reduce POST operate
/api/v1/commands/resume POST operate
/api/v1/decisions GET read
/api/v1/events GET read
/api/v1/feeds GET read
/api/v1/fills GET read
/api/v1/health GET read
/api/v1/orders GET read
/api/v1/performance GET read
/api/v1/portfolio GET read
/api/v1/positions GET read
/api/v1/risk GET read
/api/v1/session DELETE read
/api/v1/session GET read
/api/v1/session POST nobody
/api/v1/signals GET read
/api/v1/stream GET read
/api/v1/trace/{wanted} GET read
/api/v1/webhooks/alertmanager POST alerts
/livez GET nobody
/openapi.json GET read
"""
"""Every route, and whom it lets in. A new one is a decision: it belongs into this list and into docs/api.md."""


def test_the_routes_are_those_that_were_decided() -> None:
    """Nobody adds a door without saying whom it is for."""
    found = [f"{line.path} {line.method} {line.scope or 'nobody'}" for line in inventory()]
    assert found == INVENTORY.split("\n")[1:-1]


def test_the_document_describes_every_answer_of_every_route() -> None:
    """Each problem, each success with its schema, each reference, and how a token is shown."""
    document = make_document()
    described = {(path, method.upper()) for path, each in document["paths"].items() for method in each}
    shown = {(line.path, line.method) for line in inventory()} - {("/livez", "GET"), ("/openapi.json", "GET")}
    assert described == shown
    for path, each in document["paths"].items():
        for method, operation in each.items():
            statuses = {int(status) for status in operation["responses"]}
            assert set(EVERYWHERE) <= statuses, (path, method)
            assert ("requestBody" not in operation) or set(WITH_BODY) <= statuses, (path, method)
            assert any(200 <= status < 300 for status in statuses), (path, method)
            is_open = (path, method) == ("/api/v1/session", "post")
            assert is_open or operation["security"] == [{"token": []}, {"session": []}], (path, method)
    schemas = document["components"]["schemas"]
    for reference in _references(document):
        assert reference.removeprefix("#/components/schemas/") in schemas, reference


def test_every_route_is_in_the_page_for_people() -> None:
    """Who reads docs/api.md has read of all of them."""
    page = (Path(__file__).parents[3] / "docs" / "api.md").read_text()
    missing = [
        line for line in inventory() if line.path.removeprefix("/api/v1").replace("{wanted}", "{id}") not in page
    ]
    assert missing == []


def _references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [each for value in node.values() for each in _references(value)]
    return [each for item in node for each in _references(item)] if isinstance(node, list) else []
