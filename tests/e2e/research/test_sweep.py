"""A study that several workers share, in real databases."""

from __future__ import annotations

import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, inspect

from libs.research.sweep import Range, Sweep, TrialRefused, parsed, study_storage
from libs.research.trials import TrialCounter
from tests.e2e.ledger.databases import Databases, SqliteFiles

RANGES = (parsed("BULKHEAD_A=0:10"), parsed("BULKHEAD_B=x|y"))


@pytest.fixture(params=["sqlite", "postgres"])
def databases(request: pytest.FixtureRequest, tmp_path: Path) -> Databases:
    """Each kind of database in turn."""
    found: Databases = SqliteFiles(tmp_path) if request.param == "sqlite" else request.getfixturevalue("postgres")
    return found


def hill(settings: Mapping[str, str]) -> tuple[float, dict[str, Any]]:
    """Best at 7, and with y."""
    return -((int(settings["BULKHEAD_A"]) - 7) ** 2) + (settings["BULKHEAD_B"] == "y"), {"trades": 3}


def test_workers_share_one_study(databases: Databases) -> None:
    """Two workers together do what was asked for, at most one more than that, and both see all of it."""
    url = databases.new()
    workers = [Sweep(study_storage(url), "shared", RANGES, seed) for seed in (1, 2)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda worker: worker.run(12, hill), workers))
    assert 12 <= workers[0].ended <= 13
    assert workers[0].ended == workers[1].ended
    values = [trial.value for trial in workers[1].ranking(3)]
    assert values == sorted(values, reverse=True)


def test_a_study_lives_beside_our_tables_and_touches_none(databases: Databases) -> None:
    """Optuna has a table of trials as we have; in one database neither sees the other's."""
    url = databases.new()
    TrialCounter.open(url).close()
    Sweep(study_storage(url), "beside", RANGES).run(2, hill)
    engine = create_engine(url)
    assert set(inspect(engine).get_table_names()) == {"trials"}
    assert "strategy" in {column["name"] for column in inspect(engine).get_columns("trials")}
    engine.dispose()


def test_a_study_goes_on_where_it_was_and_refuses_other_ranges(tmp_path: Path) -> None:
    """Another worker tomorrow adds to the same trials; with other ranges it would compare what cannot be compared."""
    url = SqliteFiles(tmp_path).new()
    Sweep(study_storage(url), "kept", RANGES).run(3, hill)
    again = Sweep(study_storage(url), "kept", RANGES)
    again.run(5, hill)
    assert again.ended == 5
    with pytest.raises(ValueError, match="searches other ranges"):
        Sweep(study_storage(url), "kept", (parsed("BULKHEAD_A=0:11"),))


def test_what_cannot_be_and_what_is_not_known_is_never_the_best(tmp_path: Path) -> None:
    """Settings that contradict a limit end their trial, a figure that is not known ranks nowhere; the search goes on."""

    def worth(settings: Mapping[str, str]) -> tuple[float, dict[str, Any]]:
        place = int(settings["BULKHEAD_A"])
        if place % 3 == 0:
            raise TrialRefused("no such thing")
        return (math.nan if place % 3 == 1 else -5.0 * place), {}

    sweep = Sweep(study_storage(SqliteFiles(tmp_path).new()), "rough", RANGES, seed=3)
    sweep.run(15, worth)
    assert sweep.ended == 15
    assert all(trial.params["BULKHEAD_A"] % 3 == 2 for trial in sweep.ranking(15))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("N=1:5", Range("N", 1.0, 5.0, None, is_whole=True)),
        ("N=1:5:2", Range("N", 1.0, 5.0, 2.0, is_whole=True)),
        ("N=0.5:2", Range("N", 0.5, 2.0)),
        ("N=a|b", Range("N", choices=("a", "b"))),
    ],
)
def test_ranges_as_a_person_writes_them(text: str, found: Range) -> None:
    """Whole numbers stay whole; a dot makes them fractions; bars make choices."""
    given = parsed(text)
    assert repr(given) == repr(found)


@pytest.mark.parametrize("text", ["", "N", "N=", "=1:2", "N=5:1", "N=1:2:3", "N=1:2:0", "N=a:b", "N=nan:1", "N=a|a"])
def test_ranges_that_are_none_are_refused(text: str) -> None:
    """With the form that is wanted."""
    with pytest.raises(ValueError, match=r"NAME=|range of numbers|the step"):
        parsed(text)
