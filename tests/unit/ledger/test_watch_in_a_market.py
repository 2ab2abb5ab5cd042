"""The regression watch among all machines: two runs of one market, the second at a venue whose book is worse than the feed tells."""

from __future__ import annotations

import re
from statistics import median

import pytest

from libs.common.codec import decode_from
from libs.common.messages import AlertRaised, Baseline
from libs.desk.standing import StatusView
from libs.runtime.adapter import LogEntry
from libs.runtime.backtest import Backtest
from libs.runtime.replay import Part, replay
from libs.trading.drift import Watch
from services.cli.baseline import baseline_of, watch_of
from tests.simulation.world import World
from tests.unit.runtime.test_backtest import play

pytestmark = pytest.mark.no_cover

MINUTES = 420
WORSE_BPS = 10


@pytest.fixture(scope="module")
def first() -> tuple[list[LogEntry], Backtest]:
    """The month that becomes the baseline; nobody has declared one yet."""
    return play(3, MINUTES)


@pytest.fixture(scope="module")
def baseline(first: tuple[list[LogEntry], Backtest]) -> Baseline:
    """What it has shown."""
    return baseline_of(first[0], [])


@pytest.fixture(scope="module")
def worse(baseline: Baseline) -> tuple[list[LogEntry], Backtest]:
    """The same market, fills ten basis points worse."""
    return play(3, MINUTES, worse_bps=WORSE_BPS, baseline=baseline)


def drifts(entries: list[LogEntry]) -> list[AlertRaised]:
    told = [decode_from(each.subject, each.payload) for each in entries if each.subject == "ledger.alert"]
    return [each for each in told if isinstance(each, AlertRaised) and each.code.startswith("DRIFT_")]


def watch_in(test: Backtest) -> Watch | None:
    found = test.state_of("ledger").watch
    assert found is None or isinstance(found, Watch)
    return found


def test_without_a_baseline_nothing_is_watched_and_nothing_said(first: tuple[list[LogEntry], Backtest]) -> None:
    """A backtest pays nothing for the watch."""
    entries, test = first
    assert watch_in(test) is None
    assert drifts(entries) == []
    assert watch_of(entries) is None


def test_the_same_market_again_is_no_drift(baseline: Baseline) -> None:
    """What is held against itself has not changed."""
    entries, test = play(3, MINUTES, baseline=baseline)
    assert drifts(entries) == []
    watch = watch_in(test)
    assert watch is not None
    assert watch.metrics["slippage"].state == "SAME"


def test_worse_fills_wake_somebody_with_the_right_figures(
    worse: tuple[list[LogEntry], Backtest], baseline: Baseline
) -> None:
    """One page for the whole episode; live median, baseline median and both counts are in it."""
    entries, _ = worse
    pages = [each for each in drifts(entries) if each.code == "DRIFT_SLIPPAGE"]
    assert [each.severity for each in pages] == ["page"]
    figures = re.search(r"median (\S+) bp in the last (\d+), (\S+) bp in the baseline's (\d+);", pages[0].text)
    assert figures is not None
    then = next(each for each in baseline.metrics if each.metric == "slippage")
    assert float(figures[1]) == pytest.approx(WORSE_BPS, abs=0.5)
    assert (int(figures[2]), int(figures[4])) == (40, then.count)
    assert float(figures[3]) == pytest.approx(then.quantiles[10], abs=0.05)


def test_the_watch_is_part_of_the_proof(worse: tuple[list[LogEntry], Backtest]) -> None:
    """A replay of the log says every alert again, byte for byte."""
    parts = [Part(each.contract, each.machine_class, "tested") for each in World(3).members]
    report = replay(lambda: worse[0], parts)
    assert report.mismatches == []
    assert report.unpublished == 0


def test_whoever_reads_the_log_sees_what_the_ledger_knows(worse: tuple[list[LogEntry], Backtest]) -> None:
    """`bulkhead watch` folds the same events to the same state."""
    entries, test = worse
    read, known = watch_of(entries), watch_in(test)
    assert read is not None
    assert known is not None
    assert read.metrics == known.metrics
    assert read.measuring.trips == known.measuring.trips
    assert median(known.metrics["slippage"].window) == pytest.approx(WORSE_BPS, abs=0.5)


def test_the_status_names_what_has_drifted(worse: tuple[list[LogEntry], Backtest]) -> None:
    """Until it is over, or another baseline is declared."""
    view = StatusView()
    for each in worse[0]:
        view.take(decode_from(each.subject, each.payload))
    assert "slippage of entries and exits is worse" in view.facts.drifts["DRIFT_SLIPPAGE"]
