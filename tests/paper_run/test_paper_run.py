"""The paper run itself: its programme, its pins, and twenty minutes of market on the real stack with something going wrong."""

from __future__ import annotations

import ast
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from tests.paper_run.driver import PaperRun
from tests.paper_run.market import GENERATED, RECORDED, market_of
from tests.paper_run.pinned import PINNED
from tests.paper_run.report import Circumstances, page
from tests.paper_run.weather import APART, MINUTES_A_DAY, Incident, menu, programme

TREE = Path(__file__).parents[2]


@pytest.mark.parametrize("test", sorted(set(PINNED.values())))
def test_a_pin_is_a_test_that_exists(test: str) -> None:
    """An anomaly is not explained by a test that somebody has renamed."""
    path, _, name = test.partition("::")
    tree = ast.parse((TREE / path).read_text(encoding="utf-8"))
    assert name in {each.name for each in tree.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_a_seed_is_a_programme_in_which_everything_comes_before_anything_comes_again() -> None:
    """So that two weeks have seen every kind, and the same seed tells the same story."""
    kinds = len(menu("BTC-USDT"))
    begins = programme(3, 14, 8, RECORDED)
    assert begins == programme(3, 14, 8, RECORDED) != programme(4, 14, 8, RECORDED)
    assert len(begins) == 14 * 8
    counts = Counter(each.name for each in begins.values())
    assert len(counts) == kinds
    assert max(counts.values()) - min(counts.values()) <= 1


def test_incidents_are_apart_and_none_reaches_over_midnight() -> None:
    """What follows one must not be taken for what follows the next; and a day ends with a look at the books."""
    minutes = sorted(programme(5, 7, 12, RECORDED))
    assert min(after - before for before, after in pairwise(minutes)) >= APART // 2
    assert all(minute % MINUTES_A_DAY <= MINUTES_A_DAY - APART for minute in minutes)


def test_without_a_recording_all_of_it_is_generated(tmp_path: Path) -> None:
    """The page says which instruments went through recorded minutes."""
    assert market_of(6, 1, tmp_path / "nothing").recorded == ()
    assert market_of(6, 1, tmp_path).recorded == RECORDED
    assert market_of(6, 1, tmp_path).instruments == (*RECORDED, *GENERATED[:2])
    assert len(set(market_of(40, 1, tmp_path).instruments)) == 40


async def test_twenty_minutes_of_market_with_a_kill_and_a_cut_line(tmp_path: Path) -> None:
    """The books equal the venue, whatever was met is pinned, and the page says so."""
    market = market_of(2, 7, tmp_path / "nothing")
    incidents = {
        5: Incident(name="order-executor killed", kills="order-executor"),
        12: Incident(name="sockets reset", script=({"on": "socket", "kind": "reset"},)),
    }
    run = PaperRun(tmp_path / "home", market, 1, incidents)
    await run.run(minutes=20)
    text = page(run, Circumstances(command="a test", commit="none", machine="here", on="today", wall_s=1.0), [])
    assert run.anomalies.unpinned == []
    assert "books" not in run.anomalies.met
    assert run.struck == {"order-executor killed": 1, "sockets reset": 1}
    assert "NOT_A_PAPER_BOOK" in text
