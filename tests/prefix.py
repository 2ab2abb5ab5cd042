"""`assert_prefix_invariant`: the shipped look-ahead check (`libs/runtime/lookahead.py`) as an assertion of a test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from libs.common.messages import Message
from libs.runtime.lookahead import look_ahead


def assert_prefix_invariant(make_machine: Callable[[], Any], batches: Sequence[Message]) -> None:
    """Hold the machines that `make_machine` makes against every prefix and another future of every prefix of `batches`.

    Raises:
        AssertionError: a decision depends on what came later, or on what only memory outside the state can know.
        ValueError: a history does not say when it is told.
    """
    report = look_ahead(make_machine, batches)
    assert report.leak is None, str(report.leak)
    assert report.answers, "the agent said nothing in all of this: nothing has been shown"
