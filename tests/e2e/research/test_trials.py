"""The counter of trials, in real databases and with many processes at once."""

from __future__ import annotations

import math
import statistics
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import URL, create_engine, inspect

from libs.research.trials import TrialCounter
from libs.trading.performance import Moments, deflated
from libs.trading.track_record import Trials
from tests.e2e.ledger.databases import Databases, SqliteFiles, position
from tests.e2e.research.noting import a_trial

PROCESSES = 4
NOTED = 12


@pytest.fixture(params=["sqlite", "postgres"])
def databases(request: pytest.FixtureRequest, tmp_path: Path) -> Databases:
    """Each kind of database in turn."""
    found: Databases = SqliteFiles(tmp_path) if request.param == "sqlite" else request.getfixturevalue("postgres")
    return found


@pytest.fixture
def counter(databases: Databases) -> Iterator[TrialCounter]:
    """A counter in a database nobody has used yet."""
    found = TrialCounter.open(databases.new())
    yield found
    found.close()


def test_the_same_trial_again_is_one_trial_that_ran_twice(counter: TrialCounter) -> None:
    """Code, settings, data and strategy make a trial; its first ratio stands however often it is run."""
    assert counter.note(a_trial(sharpe=0.05))
    assert not counter.note(a_trial(sharpe=0.50, started_at=2, by_whom="somebody else"))
    assert (counter.count("trend"), counter.runs("trend")) == (1, 2)
    assert counter.ratios("trend") == [0.05]
    for changed in ({"code_digest": "c2"}, {"settings_digest": "s2"}, {"data_digest": "d2"}, {"strategy": "macro"}):
        assert counter.note(a_trial(**changed))
    assert (counter.count("trend"), counter.count("macro"), counter.count(), counter.runs()) == (4, 1, 5, 6)


def test_the_variance_is_that_of_the_known_ratios(counter: TrialCounter) -> None:
    """Sample variance; a trial that gave no ratio counts as tried; one trial alone has none, and two without ratios an unknown one."""
    assert (counter.count("trend"), counter.runs("trend"), counter.variance("trend")) == (0, 0, 0.0)
    counter.note(a_trial(settings_digest="blank", sharpe=math.nan))
    assert counter.variance("trend") == 0.0
    counter.note(a_trial(settings_digest="s0", sharpe=0.01))
    assert math.isnan(counter.variance("trend"))
    for place, ratio in enumerate([0.03, -0.02, 0.08], start=1):
        counter.note(a_trial(settings_digest=f"s{place}", sharpe=ratio, started_at=place + 1))
    assert counter.variance("trend") == pytest.approx(statistics.variance([0.01, 0.03, -0.02, 0.08]), rel=1e-12)
    assert counter.effective_count(0.0, "trend") == counter.count("trend") == 5
    assert counter.effective_count(1.0, "trend") == 1.0
    assert counter.effective_count(0.5, "trend") == 3.0
    found, tried = Moments(0.1, 0.0, 3.0, 500), counter.trials("trend")
    assert tried == Trials(5, counter.variance("trend"))
    assert deflated(found, tried.count, tried.variance) < deflated(found, 1, 0.0)
    assert counter.trials("a strategy nobody noted") == Trials(1, 0.0)


def test_many_processes_count_without_losing_one(databases: Databases) -> None:
    """Four processes open a database that does not exist yet and note the same trials: no error, each counted once, each run counted."""
    url = databases.new()
    root = Path(__file__).parents[3]
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.research.noting", f"p{place}", str(NOTED)],
            cwd=root,
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for place in range(PROCESSES)
    ]
    for process in running:  # they are all importing: the URL is what they wait for
        assert process.stdin is not None
        process.stdin.write(url.render_as_string(hide_password=False) + "\n")
        process.stdin.flush()
    said = [process.communicate(timeout=60)[1] for process in running]
    assert [process.returncode for process in running] == [0] * PROCESSES, said
    counter = TrialCounter.open(url)
    assert counter.count("trend") == NOTED + PROCESSES
    assert counter.runs("trend") == PROCESSES * (NOTED + 1)
    assert sorted(counter.ratios("trend")) == [place / 100 for place in range(NOTED)]
    counter.close()


def test_whoever_comes_at_the_same_instant_finds_the_table(databases: Databases) -> None:
    """Eight open an empty database at once, three times over: one makes the table, none fails, and what each notes is counted."""
    for _ in range(3):
        url, start = databases.new(), threading.Barrier(8)

        def come(place: int, url: URL = url, start: threading.Barrier = start) -> None:
            start.wait(10)
            counter = TrialCounter.open(url)
            counter.note(a_trial(settings_digest=f"s{place % 2}"))
            counter.close()

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(come, range(8)))
        counter = TrialCounter.open(url)
        assert (counter.count(), counter.runs()) == (2, 8)
        counter.close()


def test_the_counter_outlives_its_process_and_leaves_the_ledger_alone(databases: Databases) -> None:
    """Opened again it still knows; the ledger's migrations run beside its table, before and after."""
    from services.ledger.adapters.projection import Projection

    url = databases.new()
    first = TrialCounter.open(url)
    first.note(a_trial())
    first.close()
    Projection.open(url).close()
    again = TrialCounter.open(url)
    assert again.count() == 1
    assert position(url) == 0
    engine = create_engine(url)
    assert {"trials", "fills"} <= set(inspect(engine).get_table_names())
    engine.dispose()
    again.close()


@pytest.mark.parametrize(
    "changed", [{"strategy": ""}, {"data_digest": "x" * 201}, {"by_whom": ""}, {"sharpe": math.inf}]
)
def test_a_trial_without_a_name_is_refused(tmp_path: Path, changed: dict[str, object]) -> None:
    """What cannot be told apart from another cannot be counted, and no ratio is infinite."""
    counter = TrialCounter.open(SqliteFiles(tmp_path).new())
    with pytest.raises(ValueError, match=r"trial|finite"):
        counter.note(a_trial(**changed))
    with pytest.raises(ValueError, match=r"correlation"):
        counter.effective_count(1.5)
    counter.close()
