"""The dashboards: every panel says what it shows, and asks for what there is; what they show on a running stack says tests/e2e/test_monitoring.py."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from libs.common.metrics import CATALOGUE
from services.cli.monitoring.boards import BOARDS
from services.cli.monitoring.files import groups
from services.cli.monitoring.panels import Board, Panel
from tests.unit.deploy.contract import RECORDED, SAMPLES, SETTINGS, faults, labels_of
from tests.unit.deploy.promql import selectors

FOLDER = Path(__file__).parents[3] / "deploy" / "grafana" / "dashboards"
PANELS = [(board, panel) for board in BOARDS for panel in board.panels]
OVERVIEW = {"Portfolio value trend", "Open positions", "Win rate", "Current drawdown", "Model success and failure rate", "Venue connections"}  # fmt: skip


def drawn(board: Board) -> list[dict]:
    """The panels of the file, but for the titles of its rows."""
    document = json.loads((FOLDER / f"{board.file}.json").read_text())
    return [panel for panel in document["panels"] if panel["type"] != "row"]


def test_the_five_dashboards_are_there_under_their_own_names() -> None:
    """Links name a dashboard by its uid: it is never another one's."""
    assert sorted(path.stem for path in FOLDER.glob("*.json")) == sorted(board.file for board in BOARDS)
    found = {board.file: json.loads((FOLDER / f"{board.file}.json").read_text())["uid"] for board in BOARDS}
    assert found == {
        "trading_overview": "bulkhead-trading-overview",
        "performance_metrics": "bulkhead-performance-metrics",
        "system_health": "bulkhead-system-health",
        "execution": "bulkhead-execution",
        "agents": "bulkhead-agents",
    }


def test_the_overview_answers_what_an_operator_asks_first() -> None:
    """Value, positions, win rate, drawdown, the model, the venue."""
    (board,) = (each for each in BOARDS if each.file == "trading_overview")
    assert {panel.title for panel in board.panels} >= OVERVIEW


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.file)
def test_every_panel_says_what_it_shows_in_which_unit_from_a_source_that_can_be_chosen(board: Board) -> None:
    """A panel without words or unit is read wrong at night; one with a fixed source works at one place only."""
    panels = drawn(board)
    assert len(panels) == len(board.panels)
    assert len({panel["title"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["description"].rstrip().endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["targets"]
        for target in panel["targets"]:
            assert target["legendFormat"], panel["title"]
            assert target["datasource"]["uid"] == "${datasource}"
        if panel["type"] == "timeseries":
            assert panel["options"]["legend"]["showLegend"], panel["title"]


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.file)
def test_panels_do_not_lie_over_each_other(board: Board) -> None:
    """Each cell of the grid belongs to one panel."""
    taken: dict[tuple[int, int], str] = {}
    for panel in drawn(board):
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        for cell in ((x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])):
            assert cell not in taken, f"{panel['title']} lies over {taken[cell]}"
            taken[cell] = panel["title"]


@pytest.mark.parametrize(("board", "panel"), PANELS, ids=lambda each: getattr(each, "file", "") or each.title)
def test_panels_ask_for_metrics_labels_and_values_that_exist(board: Board, panel: Panel) -> None:
    """A panel on what nobody makes is empty for ever, and looks like a quiet market."""
    for query in panel.queries:
        assert faults(query.expr) == []
        named = set(re.findall(r"{{(\w+)}}", query.legend))
        labels = {label for each in selectors(query.expr) for label in labels_of(each.metric)}
        assert named <= labels | {"instance"}, query.legend


def test_every_metric_is_read_by_a_rule_or_a_panel_or_is_there_for_a_question() -> None:
    """What nobody reads costs, and rots; and a question is told only of what is read by nobody."""
    expressions = [query.expr for _, panel in PANELS for query in panel.queries]
    expressions += [rule.expr for each in groups(SETTINGS).values() for group in each for rule in group.rules]
    read = {SAMPLES[each.metric].name for expr in expressions for each in selectors(expr) if each.metric in SAMPLES}
    assert sorted(name for name, each in CATALOGUE.items() if name not in read and not each.question) == []
    assert sorted(name for name in read if CATALOGUE[name].question) == []


def test_what_is_recorded_is_read() -> None:
    """A recording that no rule and no panel reads is worked out for nobody; the windows of the error budget are read by its alerts."""
    expressions = [query.expr for _, panel in PANELS for query in panel.queries]
    expressions += [rule.expr for each in groups(SETTINGS).values() for group in each for rule in group.rules]
    read = {each.metric for expr in expressions for each in selectors(expr)}
    assert sorted(set(RECORDED) - read) == []
