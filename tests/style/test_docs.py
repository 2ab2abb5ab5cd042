"""What the docs say of the events is what the code says."""

from __future__ import annotations

import json
import re
import runpy
from typing import Any

import pytest

from libs.common.messages import ALL
from libs.runtime.registry import contracts
from tests.style.tree import ROOT, files

GENERATED = runpy.run_path(str(ROOT / "docs" / "generate.py"))["pages"]()


@pytest.mark.parametrize("path", GENERATED, ids=lambda path: path.name)
def test_generated_pages_are_current(path) -> None:
    """Docs that are wrong are worse than none; `make docs` writes them again."""
    assert path.exists(), "run: make docs"
    assert path.read_text() == GENERATED[path], f"{path.name} is out of date; run: make docs"


def test_every_type_and_every_service_is_described() -> None:
    """No event and no service is missing on the page."""
    page = next(text for path, text in GENERATED.items() if path.name == "events.md")
    assert [kind.__name__ for kind in ALL if f"### {kind.__name__}\n" not in page] == []
    assert [contract.service for contract in contracts() if contract.service not in page] == []


def test_the_asyncapi_document_is_closed() -> None:
    """Every reference leads somewhere, every channel's parameters are described, every operation names its channel."""
    document = json.loads(next(text for path, text in GENERATED.items() if path.name == "asyncapi.json"))
    assert document["asyncapi"].startswith("3.")
    references = set(_references(document))
    assert len(references) > 2 * len(ALL)
    for reference in references:
        found: Any = document
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
    for channel in document["channels"].values():
        assert set(re.findall(r"\{(\w+)\}", channel["address"])) == set(channel.get("parameters", {}))
    assert {operation["action"] for operation in document["operations"].values()} == {"send", "receive"}


def test_links_inside_the_docs_lead_somewhere() -> None:
    """A relative link in a page names a file of the project."""
    broken = []
    for page in [path for path in files() if path.suffix == ".md"]:
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", (ROOT / page).read_text()):
            if not re.match(r"[a-z]+:", target) and not (ROOT / page.parent / target).exists():
                broken.append(f"{page}: {target}")
    assert broken == []


def _references(node: object) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [each for value in node.values() for each in _references(value)]
    return [each for item in node for each in _references(item)] if isinstance(node, list) else []
