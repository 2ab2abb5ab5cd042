"""A process that notes trials: `python -m tests.e2e.research.noting <who> <count>`; the URL comes by stdin.

Every process notes the same `count` trials, and one that is its own.
"""

from __future__ import annotations

import sys

from sqlalchemy import make_url

from libs.research.trials import Trial, TrialCounter


def a_trial(**changed: object) -> Trial:
    """A trial of `trend`, with some fields changed."""
    fields: dict[str, object] = {
        "strategy": "trend",
        "code_digest": "c1",
        "settings_digest": "s1",
        "data_digest": "d1",
        "started_at": 1,
        "sharpe": 0.05,
        "observations": 365,
        "by_whom": "somebody",
    }
    return Trial(**(fields | changed))  # type: ignore[arg-type]


def main(who: str, count: int) -> None:
    """Note them all."""
    counter = TrialCounter.open(make_url(sys.stdin.readline().strip()))
    for place in range(count):
        counter.note(a_trial(settings_digest=f"s{place}", by_whom=who, sharpe=place / 100))
    counter.note(a_trial(settings_digest=f"only {who}", by_whom=who, sharpe=float("nan")))
    counter.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
