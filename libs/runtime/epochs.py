"""The log as a chain of streams: TRADING_0001, TRADING_0002, ... one after the other, their sequences going on.

    TRADING_0001  1 ........ 4,711   sealed: nobody can add to it, alter it or take from it, not even admin
    TRADING_0002             4,712 ........ 9,020   sealed
    TRADING_0003                            9,021 ....   takes what is said now

A place in the log (its seq) means the same entry whatever the epoch, so nothing that holds a seq knows of epochs; who reads or appends does
(`bus`, `ordered_pull`), and who rolls over (`rolling`). The log bears the name of its first epoch.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import msgspec

EPOCH = re.compile(r"([A-Z]+)_([0-9]{4})")
NUMBER_MAX = 9_999


class Epoch(msgspec.Struct, frozen=True):
    """One stream of the chain, and the first place in it: what is before that place stands in an earlier one."""

    name: str
    first_seq: int

    @property
    def number(self) -> int:
        """1 is the first."""
        match = EPOCH.fullmatch(self.name)
        return int(match[2]) if match else 1


def is_log(stream: str) -> bool:
    """Whether a stream is an epoch of a log; others (MARKET) are alone."""
    return EPOCH.fullmatch(stream) is not None


def is_epoch_of(name: str, log: str) -> bool:
    """Whether the stream `name` is an epoch of the log that bears the name of its first epoch `log`."""
    ours, theirs = EPOCH.fullmatch(log), EPOCH.fullmatch(name)
    return ours is not None and theirs is not None and ours[1] == theirs[1] and int(theirs[2]) >= int(ours[2])


def next_name(name: str) -> str:
    """The epoch after this one.

    Raises:
        ValueError: it is none, or the last there can be.
    """
    match = EPOCH.fullmatch(name)
    if match is None or int(match[2]) >= NUMBER_MAX:
        raise ValueError(f"{name} is followed by no epoch")
    return f"{match[1]}_{int(match[2]) + 1:04d}"


def chain(found: Iterable[Epoch]) -> tuple[Epoch, ...]:
    """Epochs in their order."""
    return tuple(sorted(found, key=lambda epoch: epoch.number))


def holding(epochs: Sequence[Epoch], seq: int) -> Epoch:
    """The epoch in which the entry at `seq` stands, or would: the newest that begins at or before it."""
    return next((epoch for epoch in reversed(epochs) if epoch.first_seq <= seq), epochs[0])


def after(epochs: Sequence[Epoch], epoch: Epoch) -> Epoch | None:
    """The epoch that follows, if there is one by now."""
    return next((each for each in epochs if each.number > epoch.number), None)
