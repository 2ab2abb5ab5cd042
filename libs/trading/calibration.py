"""What probabilities were worth once the outcome is known: hit rate, Brier score, calibration error.

A vote says "this side, with probability p", 0.5 <= p < 1; its outcome is whether the side was right. Everything is kept as sums, so a tally
of years is as small as one of a day.

* Brier score: mean (p - y)^2, y = 1 where the side was right (Brier 1950). A coin that knows it is one scores 0.25.
* Expected calibration error: mean |claimed - seen| over ten bins of p, weighted by their counts (Naeini et al. 2015).
* Wilson interval of the hit rate (Wilson 1927): it does not fall apart at few votes, as the normal one does.
"""

from __future__ import annotations

import math

import msgspec

BINS = 10
Z95 = 1.959963984540054
_P_MIN = 0.5


class Tally(msgspec.Struct, kw_only=True):
    """The sums of one agent's resolved votes. Bins divide [0.5, 1] evenly: how many, their sum of p, how many right."""

    votes: int = 0
    hits: int = 0
    squared_error: float = 0.0
    bin_votes: list[int] = msgspec.field(default_factory=lambda: [0] * BINS)
    bin_p: list[float] = msgspec.field(default_factory=lambda: [0.0] * BINS)
    bin_hits: list[int] = msgspec.field(default_factory=lambda: [0] * BINS)

    def add(self, p: float, was_right: bool) -> None:
        """Count a vote made with probability `p`.

        Raises:
            ValueError: `p` is not in [0.5, 1].
        """
        if not _P_MIN <= p <= 1.0:
            raise ValueError(f"a vote's probability is in [0.5, 1], not {p}")
        place = min(BINS - 1, int((p - _P_MIN) * 2 * BINS))
        self.votes += 1
        self.hits += was_right
        self.squared_error += (p - was_right) ** 2
        self.bin_votes[place] += 1
        self.bin_p[place] += p
        self.bin_hits[place] += was_right

    @property
    def hit_rate(self) -> float:
        """The share that was right; 0 without votes."""
        return self.hits / self.votes if self.votes else 0.0

    @property
    def brier(self) -> float:
        """The Brier score; a coin's 0.25 without votes."""
        return self.squared_error / self.votes if self.votes else 0.25

    @property
    def ece(self) -> float:
        """The expected calibration error; 0 without votes."""
        if not self.votes:
            return 0.0
        return sum(abs(p - hits) for p, hits in zip(self.bin_p, self.bin_hits, strict=True)) / self.votes


def wilson(hits: int, votes: int, z: float = Z95) -> tuple[float, float]:
    """The interval in which the true rate lies with the confidence of `z`; all of [0, 1] without votes."""
    if votes == 0:
        return 0.0, 1.0
    rate, zz = hits / votes, z * z
    middle = (rate + zz / (2 * votes)) / (1 + zz / votes)
    half = z / (1 + zz / votes) * math.sqrt(rate * (1 - rate) / votes + zz / (4 * votes * votes))
    return max(0.0, middle - half), min(1.0, middle + half)
