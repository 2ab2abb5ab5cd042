"""Whoever is woken finds a page that says what to do: every alert the code raises is in the catalogue, as grave as it says, with a runbook."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from typer.main import get_command

from libs.common.alerts import CATALOGUE, FAMILIES, RUNBOOKS, SEVERITIES, Alert, alert_of, runbook_of
from services.cli.app import app
from tests.fires import FIRES
from tests.style.raised import UNKNOWN, Raised, raised_here, raised_in
from tests.style.test_tests import found_tests
from tests.style.tree import ROOT, text_of, tree_of

PARTS = ["Means.", "Done already.", "Look.", "Do.", "Over when."]


def catalogued(raised: Raised) -> list[Alert]:
    """The entries that a place in the code may raise."""
    if raised.is_prefix:
        return [each for each in CATALOGUE if each.code.startswith(raised.code)]
    return [each for each in CATALOGUE if each.fits(raised.code)]


def sections(page: str) -> dict[str, str]:
    """The sections of a page by their anchors."""
    found = re.split(r"^## ", (ROOT / page).read_text(), flags=re.MULTILINE)[1:]
    return {each.partition("\n")[0].lower().replace(" ", "-"): each for each in found}


def source(text: str) -> list[Raised]:
    return raised_in({"somewhere": ast.parse(text)})


def test_every_alert_that_is_raised_is_in_the_catalogue() -> None:
    """An alert without an entry has no severity that anybody agreed to, and no runbook."""
    assert sorted(f"{each.code} ({each.where})" for each in raised_here() if not catalogued(each)) == []
    assert len(raised_here()) > 80


def test_every_entry_is_raised_by_somebody() -> None:
    """A page about what cannot happen is one more to read at night."""
    raised = {entry.code for each in raised_here() for entry in catalogued(each)}
    assert sorted({each.code for each in CATALOGUE} - raised) == []
    assert len({each.code for each in CATALOGUE}) == len(CATALOGUE)


def test_an_alert_is_as_grave_as_its_entry_says() -> None:
    """No place raises it with another severity, and none that is named is missing from the code."""
    for entry in CATALOGUE:
        places = [each for each in raised_here() if entry in catalogued(each)]
        said = {severity for each in places for severity in each.severities}
        assert said - {UNKNOWN} <= set(entry.severities), entry.code
        assert said == set(entry.severities) or UNKNOWN in said or not places, entry.code


def test_an_alert_has_its_section_in_the_runbooks() -> None:
    """The anchor is a heading of the page, once; a code that ends a trouble leads to the trouble's."""
    for entry in CATALOGUE:
        page, _, anchor = entry.anchor.partition("#")
        assert list(sections(page)).count(anchor) == 1, entry.code
        assert entry.family in FAMILIES
        assert not entry.ends or alert_of(entry.ends) is not None
    assert len(set(FAMILIES)) == len({each.family for each in CATALOGUE})


@pytest.mark.parametrize("family", FAMILIES)
def test_a_section_is_of_an_alert_and_says_the_same_five_things(family: str) -> None:
    """Whoever reads it at night knows where to look; and its severity is the catalogue's."""
    page = f"{RUNBOOKS}/{family}.md"
    anchors = {each.anchor: each for each in reversed(CATALOGUE) if not each.ends}
    for anchor, text in sections(page).items():
        entry = anchors[f"{page}#{anchor}"]
        assert text.split("\n\n")[1] == f"`{entry.code}` · {' or '.join(entry.severities)}"
        assert re.findall(r"^- \*\*([^*]+)\*\*", text, re.MULTILINE) == PARTS, anchor
    assert f"# {FAMILIES[family]}\n" in (ROOT / page).read_text()


@pytest.mark.parametrize("page", [*FAMILIES, "README"])
def test_runbooks_name_settings_and_commands_that_there_are(page: str) -> None:
    """A command that fails at night is worse than none."""
    text = (ROOT / RUNBOOKS / f"{page}.md").read_text()
    settings = set(re.findall(r"BULKHEAD_[A-Z_]+", (ROOT / ".env.example").read_text()))
    assert sorted(set(re.findall(r"BULKHEAD_[A-Z_]+[A-Z]", text)) - settings) == []
    commands = get_command(app).commands  # type: ignore[attr-defined]  # a group, because it has commands
    for first, second in re.findall(r"`bulkhead ([a-z-]+)(?: ([a-z-]+))?", text):
        assert first in commands, first
        inner = getattr(commands[first], "commands", None)
        assert inner is None or second.startswith("-") or second in inner, f"{first} {second}"


def test_every_alert_that_is_to_be_acted_on_fires_in_a_test() -> None:
    """A page or ticket that nobody has ever seen raised is a wish; the test named raises it, or one of those it stands for."""
    acted_on = {each.code for each in CATALOGUE if each.severity != "note"}
    assert sorted(acted_on - set(FIRES)) == []
    assert sorted(set(FIRES) - {each.code for each in CATALOGUE}) == []


def test_the_test_that_fires_an_alert_exists_and_names_it() -> None:
    """It is a function of that file, and the file speaks of the code."""
    for code, test in FIRES.items():
        path, _, name = test.partition("::")
        assert name in {each.name for each in found_tests(tree_of(Path(path)))}, test
        assert code.rstrip("*") in text_of(Path(path)), test


def test_the_catalogue_knows_whole_codes_before_prefixes() -> None:
    """What nobody knows leads to the index."""
    assert runbook_of("DRIFT_SLIPPAGE_OVER") == "docs/runbooks/risk.md#drift"
    assert runbook_of("CHANNEL_UP") == runbook_of("CHANNEL_DOWN") == "docs/runbooks/people.md#channel-down"
    assert runbook_of("MY_PLUGIN_IS_SAD") == "docs/runbooks/README.md"
    assert all(list(each.severities) == sorted(each.severities, key=SEVERITIES.index) for each in CATALOGUE)


def test_alerts_are_found_however_they_are_raised() -> None:
    """Directly, through functions that hand them on, put together, or chosen between two."""
    (direct,) = source("def f():\n    AlertRaised(code='A', severity='page')")
    assert (direct.code, direct.severities) == ("A", {"page"})
    handed = "def _tell(x, code, severity):\n    alert(code, severity)\ndef alert(code, severity):\n    AlertRaised(code=code, severity=severity)\n"
    (through,) = source(handed + "def f():\n    _tell(1, 'B' if a else 'C', 'note')")[:1]
    assert (through.code, through.severities) == ("B", {"note"})
    (made,) = source(
        "S = {1: 'page', 2: 'ticket'}\ndef f(x):\n    c = f'D_{x}'\n    AlertRaised(code=c, severity=S[x])"
    )
    assert (made.code, made.is_prefix, made.severities) == ("D_", True, {"page", "ticket"})
    both = source(
        "def _plain(code, severity):\n    Sight(code=code, severity=severity)\ndef f():\n    _plain('E', 'page')"
    )
    assert {each.code: set(each.severities) for each in both} == {"E": {"page"}, "E_OVER": {"note"}}
    named = {"here": "from there import F\ndef f():\n    AlertRaised(code=F, severity='note')", "there": "F = 'G'"}
    assert [each.code for each in raised_in({name: ast.parse(text) for name, text in named.items()})] == ["G"]
    assert source("def f(notice):\n    AlertRaised(code=notice.code, severity=notice.severity)") == []
    (open_one,) = source("def f(x):\n    AlertRaised(code='H', severity='note' if x else x)")
    assert open_one.severities == {"note", UNKNOWN}
    assert catalogued(source("def f(x):\n    AlertRaised(code=x, severity='page')")[0]) == []
