"""What the system decides on a known market is what is on record, unless somebody said why it changed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.baseline.run import changes, figures, on_record, played

CURE = 'if it was meant, say why: python -m tests.baseline --record "why"'


@pytest.fixture(scope="module")
def now() -> dict[str, Any]:
    """The figures of this code."""
    return figures(played())


def test_the_baseline_is_what_is_on_record(now: dict[str, Any]) -> None:
    """Another digest, or a figure beyond its tolerance, is named."""
    assert not (found := changes(now, on_record())), "\n".join([*found, CURE])


def test_the_baseline_trades(now: dict[str, Any]) -> None:
    """A market without trades would prove nothing."""
    assert now["trades"] >= 20


@pytest.mark.parametrize("name", ["trades", "equity_final", "win_rate", "drawdown_max"])
def test_a_changed_figure_is_named(now: dict[str, Any], name: str) -> None:
    """Whoever moves a figure reads its name, what it was and what it is."""
    found = changes({**now, name: now[name] * 1.2 + 1}, now)
    assert len(found) == 1
    assert found[0].startswith(f"{name}: ")
