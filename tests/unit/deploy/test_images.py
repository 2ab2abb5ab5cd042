"""What is in an image and what is not: enough to run, nothing of the neighbours', and the versions that everything was tested with."""

from __future__ import annotations

import re

import pytest

from libs.runtime.registry import SERVICES
from services.cli.deploy.fleet import FORBIDDEN, IMAGE_KINDS, VENUE
from tests.style.tree import ROOT
from tests.unit.deploy.images import LOCKS, locked, missing, name_of

PACKAGES = {**SERVICES, VENUE: "services.exchange_sim"}


@pytest.mark.parametrize(("service", "kind"), IMAGE_KINDS.items())
def test_an_image_holds_whatever_its_service_imports(service: str, kind: str) -> None:
    """Whatever can be reached from the service's modules, also inside functions, is in its lock: no image fails at three in the morning."""
    assert missing(PACKAGES[service], locked(LOCKS / f"{kind}.lock")) == []


def test_a_missing_package_is_found() -> None:
    """The audit bites: a service on a lock of another kind lacks what it needs, and says who wants it."""
    found = missing("services.order_executor", locked(LOCKS / "machine.lock"))
    assert [each.split(" ")[0] for each in found] == ["ccxt", "cryptography"]


@pytest.mark.parametrize(("service", "names"), FORBIDDEN.items())
def test_an_image_does_not_hold_what_it_must_never_run(service: str, names: tuple[str, ...]) -> None:
    """Who holds the venue's key parses no model's answers and serves no web pages; who speaks to a model can sign nothing."""
    assert {name_of(each) for each in names} & locked(LOCKS / f"{IMAGE_KINDS[service]}.lock").keys() == set()


@pytest.mark.parametrize("path", sorted(LOCKS.glob("*.lock")), ids=lambda path: path.stem)
def test_images_hold_the_versions_that_are_tested(path: object) -> None:
    """Every version in an image is the one the suite runs with, and each carries its hashes."""
    tested = locked(ROOT / "requirements" / "dev.lock")
    lock = LOCKS / f"{path.stem}.lock"  # type: ignore[attr-defined]
    assert {name: version for name, version in locked(lock).items() if tested.get(name) != version} == {}
    blocks = re.split(r"\n(?=[A-Za-z0-9])", lock.read_text())
    assert [block.split("\n")[0] for block in blocks if "--hash=sha256:" not in block] == []


def test_every_lock_is_made_by_make_lock() -> None:
    """The kinds of the table, of the recipe for locks and of pyproject.toml are the same, and nobody has a lock that nobody wears."""
    makefile = (ROOT / "Makefile").read_text()
    kinds = set(re.search(r"^KINDS := (.+)$", makefile, re.MULTILINE)[1].split())  # type: ignore[index]
    assert kinds == {path.stem for path in LOCKS.glob("*.lock")} == {*IMAGE_KINDS.values(), "build"}
