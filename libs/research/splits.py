"""Which observations teach and which examine: walk-forward, purged k-fold, combinatorial purged cross-validation. Places only, from 0.

Whoever tunes on what he is examined on finds something in noise. So the examined observations are cut out of the taught ones, and with them those
whose outcome reaches into the examined stretch (`purge`, on both sides: as many observations as an outcome takes to be known) and those after it that
still carry its effects (`embargo`); Lopez de Prado, Advances in Financial Machine Learning (2018), chapters 7 and 12.

    walk-forward    teach the past, examine what follows, move on by one examination: anchored at the start, or a window that rolls
    k-fold          each of `folds` stretches is examined once, all others teach
    combinatorial   each choice of `test_folds` of the folds is examined at once; put together they are several whole paths through time

Folds are equally long; the last one takes what is left over. The sets are those of skfolio's `CombinatorialPurgedCV` and `WalkForward`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import combinations

import msgspec

SPLITS_MAX = 100_000


class Split(msgspec.Struct, frozen=True):
    """Places to learn from, and the stretches to be examined on, in order of time."""

    train: tuple[int, ...]
    tests: tuple[tuple[int, ...], ...]


class PathPart(msgspec.Struct, frozen=True):
    """Fold `fold` as it was examined in split `split`."""

    fold: int
    split: int


def walk_forward(
    count: int, *, train: int, test: int, purge: int = 0, embargo: int = 0, anchored: bool = False, last: bool = False
) -> Iterator[Split]:
    """Splits in order of time; `purge + embargo` observations between teaching and examination belong to neither.

    `anchored` teaches everything from the start, else the last `train`; `last` examines a shorter rest at the end, too.

    Raises:
        ValueError: a size is not positive, a gap is negative, or nothing is left to examine.
    """
    gap = _gap(purge, embargo)
    if train < 1 or test < 1:
        raise ValueError(f"train {train} and test {test} must be at least 1")
    if train + gap >= count:
        raise ValueError(f"of {count} observations {train} teach and {gap} are left out: none is left to examine")
    start = train + gap
    while start + test <= count or (last and start < count):
        known = start - gap
        yield Split(
            tuple(range(0 if anchored else known - train, known)), (tuple(range(start, min(start + test, count))),)
        )
        start += test


def purged_k_fold(count: int, *, folds: int, purge: int = 0, embargo: int = 0) -> Iterator[Split]:
    """Each fold examined once.

    Raises:
        ValueError: fewer than two folds, or folds too short for the gaps.
    """
    if folds < 2:
        raise ValueError(f"folds {folds} must be at least 2")
    return _splits(count, folds, 1, purge, embargo)


def combinatorial_purged(
    count: int, *, folds: int, test_folds: int, purge: int = 0, embargo: int = 0
) -> Iterator[Split]:
    """Each choice of `test_folds` folds examined once, in lexical order.

    Raises:
        ValueError: not 2 <= test_folds < folds, folds too short for the gaps, or more than `SPLITS_MAX` choices.
    """
    if not 2 <= test_folds < folds:
        raise ValueError(f"test folds {test_folds} must be at least 2 and fewer than the folds, {folds}")
    if math.comb(folds, test_folds) > SPLITS_MAX:
        raise ValueError(f"{folds} folds have more than {SPLITS_MAX} choices of {test_folds}")
    return _splits(count, folds, test_folds, purge, embargo)


def paths(folds: int, test_folds: int) -> list[tuple[PathPart, ...]]:
    """The whole paths through time that combinatorial splits can be put together to: each fold once, in order of time."""
    examined: list[list[int]] = [[] for _ in range(folds)]
    for place, chosen in enumerate(combinations(range(folds), test_folds)):
        for fold in chosen:
            examined[fold].append(place)
    return [tuple(PathPart(fold, split) for fold, split in enumerate(column)) for column in zip(*examined, strict=True)]


def _splits(count: int, folds: int, test_folds: int, purge: int, embargo: int) -> Iterator[Split]:
    gap, length = _gap(purge, embargo), count // folds
    if gap >= length - 1:
        raise ValueError(
            f"purge and embargo together, {gap}, must be below the length of a fold less one, {length - 1}"
        )
    edges = [*(length * fold for fold in range(folds)), count]
    stretches = [tuple(range(edges[fold], edges[fold + 1])) for fold in range(folds)]
    return (_split(edges, stretches, chosen, purge, embargo) for chosen in combinations(range(folds), test_folds))


def _split(
    edges: Sequence[int], stretches: Sequence[tuple[int, ...]], chosen: tuple[int, ...], purge: int, embargo: int
) -> Split:
    left_out: set[int] = set()
    for fold in chosen:
        left_out.update(range(edges[fold] - purge, edges[fold + 1] + purge + embargo))
    return Split(
        tuple(place for place in range(edges[-1]) if place not in left_out), tuple(stretches[fold] for fold in chosen)
    )


def _gap(purge: int, embargo: int) -> int:
    if purge < 0 or embargo < 0:
        raise ValueError(f"purge {purge} and embargo {embargo} must not be negative")
    return purge + embargo
