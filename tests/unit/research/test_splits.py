"""Splits: index sets equal to skfolio's, and nothing taught that reaches into what is examined."""

from __future__ import annotations

import numpy as np
import pytest

from libs.research.splits import combinatorial_purged, paths, purged_k_fold, walk_forward


@pytest.fixture(scope="module")
def skfolio():
    """The oracle, imported once: it takes seconds."""
    return pytest.importorskip("skfolio.model_selection", reason="skfolio (an oracle) is not installed")


COMBINATORIAL = [
    (count, folds, test_folds, purge, embargo)
    for count, folds, test_folds in [(60, 3, 2), (60, 5, 2), (103, 6, 3), (200, 10, 8), (97, 8, 2)]
    for purge, embargo in [(0, 0), (1, 0), (0, 2), (2, 3)]
]


@pytest.mark.parametrize("case", COMBINATORIAL)
def test_combinatorial_sets_are_those_of_skfolio(skfolio, case: tuple[int, ...]) -> None:
    """What teaches, what examines, and the paths they make: equal for twenty choices of folds, purge and embargo."""
    count, folds, test_folds, purge, embargo = case
    theirs = skfolio.CombinatorialPurgedCV(
        n_folds=folds, n_test_folds=test_folds, purged_size=purge, embargo_size=embargo
    )
    ours = list(combinatorial_purged(count, folds=folds, test_folds=test_folds, purge=purge, embargo=embargo))
    found = list(theirs.split(np.zeros((count, 1))))
    assert len(ours) == len(found) == theirs.n_splits
    for split, (train, tests) in zip(ours, found, strict=True):
        assert list(split.train) == train.tolist()
        assert [list(each) for each in split.tests] == [each.tolist() for each in tests]
    assert [[part.split for part in path] for path in paths(folds, test_folds)] == theirs.recombined_paths.T.tolist()


@pytest.mark.parametrize("anchored", [False, True])
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("sizes", [(50, 20, 7, 0), (50, 20, 7, 3), (31, 10, 1, 2), (100, 40, 20, 0)])
def test_walk_forward_sets_are_those_of_skfolio(skfolio, sizes: tuple[int, ...], last: bool, anchored: bool) -> None:
    """Rolling and anchored, with a purge, with and without the rest at the end."""
    count, train, test, purge = sizes
    theirs = skfolio.WalkForward(
        train_size=train, test_size=test, purged_size=purge, expand_train=anchored, reduce_test=last
    )
    ours = walk_forward(count, train=train, test=test, purge=purge, anchored=anchored, last=last)
    found = [(taught.tolist(), examined.tolist()) for taught, examined in theirs.split(np.zeros((count, 1)))]
    assert [(list(split.train), list(split.tests[0])) for split in ours] == found


def test_walk_forward_leaves_out_what_lies_between() -> None:
    """Purge and embargo add up: the test begins that much after the last observation taught."""
    for split in walk_forward(40, train=10, test=5, purge=2, embargo=3):
        assert split.tests[0][0] - split.train[-1] == 6
        assert len(split.train) == 10


def test_k_fold_examines_everything_once() -> None:
    """Every observation is examined in exactly one split and taught in none within the gaps around it."""
    examined: list[int] = []
    for split in purged_k_fold(53, folds=5, purge=2, embargo=1):
        (test,) = split.tests
        examined += test
        assert not set(split.train) & set(range(test[0] - 2, test[-1] + 1 + 3))
        assert len(split.train) >= 53 - len(test) - 5
    assert examined == list(range(53))


@pytest.mark.parametrize(
    "refused",
    [
        lambda: list(walk_forward(10, train=8, test=1, purge=2)),
        lambda: list(walk_forward(10, train=0, test=1)),
        lambda: list(walk_forward(10, train=5, test=1, purge=-1)),
        lambda: purged_k_fold(30, folds=1),
        lambda: purged_k_fold(30, folds=5, purge=3, embargo=2),
        lambda: combinatorial_purged(30, folds=4, test_folds=4),
        lambda: combinatorial_purged(900, folds=40, test_folds=20),
    ],
)
def test_splits_that_cannot_be_are_refused(refused) -> None:
    """Nothing left to examine, folds shorter than their gaps, more choices than anybody waits for."""
    with pytest.raises(ValueError, match=r"observations|must|choices"):
        refused()
