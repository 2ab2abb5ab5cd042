"""EMA, RSI, ATR, ADX, MACD and Bollinger bands, one bar at a time, in constant time and memory; the numbers are TA-Lib's.

Theory of operation. An indicator is a small mutable Struct that lives inside a machine's state, so it must survive a round
trip through JSON at any bar: it holds finite numbers only, and "no value yet" is `None`, never NaN. `update` folds in one
closed bar and returns the new value; a batch is the fold of `update` (`series`), so there is one code path to trust.

Seeding decides the early values, and every library seeds differently. These follow TA-Lib exactly:

* EMA(span): the seed is the simple mean of the first `span` values; first value at bar span - 1 (counted from 0).
* RSI(n), ATR(n): Wilder's smoothing seeded by a simple mean; the true range starts at bar 1; first value at bar n.
* ADX(n): directional movement and true range are summed over n - 1 bars, then S - S/n + x; the first value, the mean of
  n directional indices, stands at bar 2n - 1.
* MACD(fast, slow, signal): both EMAs have their first value at bar slow - 1, so the seed of the fast one covers the bars from
  slow - fast on; there is nothing before the signal line exists, at bar slow + signal - 2.
* Bollinger(n, width): the deviation is that of the population (divided by n); first value at bar n - 1.

One difference, on purpose: the RSI of a series that does not move is 50 (undecided). TA-Lib says 0, which reads as
"oversold for ever". The bands of such a series are a line, and where the close stands between them is not said.

A first value is not yet a trustworthy one: what the start was forgets slowly. `ready_for_decisions` is true after 5 spans
of an EMA and 10 n of a Wilder indicator (95 % of truncated starts are then within 1e-5 for EMA, 4e-4 for ADX(14)). Bands
forget nothing slowly: they are ready when they are full.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Protocol

import msgspec

EMA_READY_SPANS = 5
WILDER_READY_PERIODS = 10
MAGNITUDE_MAX = 1e100
"""Inputs beyond this are refused: sums and differences of them could overflow to infinity inside the state."""

_NOTHING = 1e-14
"""Below this TA-Lib takes an average move for none at all."""


class Indicator(Protocol):
    """What every indicator offers."""

    age: int
    value: float | None

    @property
    def ready_for_decisions(self) -> bool: ...

    def update(self, *columns: float) -> float | None: ...


class EMA(msgspec.Struct):
    """Exponential moving average over `span` bars, in the unit of its input. `age` counts the bars seen."""

    span: int
    age: int = 0
    value: float | None = None
    seed_sum: float = 0.0

    def __post_init__(self) -> None:
        _period("EMA span", self.span)

    @property
    def ready_for_decisions(self) -> bool:
        """Whether the start is forgotten."""
        return self.age >= EMA_READY_SPANS * self.span

    def update(self, close: float) -> float | None:
        """Fold in the next bar's close; returns the value, None while seeding.

        Raises:
            ValueError: `close` is not finite; the state is unchanged.
        """
        _finite(close=close)
        return self._fold(close)

    def _fold(self, number: float) -> float | None:
        self.age += 1
        if self.value is not None:
            self.value = (number - self.value) * (2.0 / (self.span + 1)) + self.value
            return self.value
        self.seed_sum += number
        if self.age == self.span:
            self.value = self.seed_sum / self.span
        return self.value


class RSI(msgspec.Struct):
    """Wilder's relative strength index over `n` bars, in [0, 100]; 50 where nothing moves."""

    n: int
    age: int = 0
    value: float | None = None
    close_last: float = 0.0
    gain: float = 0.0
    loss: float = 0.0

    def __post_init__(self) -> None:
        _period("RSI n", self.n)

    @property
    def ready_for_decisions(self) -> bool:
        """Whether the start is forgotten."""
        return self.age >= WILDER_READY_PERIODS * self.n

    def update(self, close: float) -> float | None:
        """Fold in the next bar's close; returns the value, None while seeding.

        Raises:
            ValueError: `close` is not finite; the state is unchanged.
        """
        _finite(close=close)
        change = close - self.close_last
        self.age += 1
        self.close_last = close
        if self.age == 1:
            return None
        gain, loss = max(change, 0.0), max(-change, 0.0)
        if self.value is not None:
            self.gain = (self.gain * (self.n - 1) + gain) / self.n
            self.loss = (self.loss * (self.n - 1) + loss) / self.n
        else:
            self.gain += gain
            self.loss += loss
            if self.age <= self.n:
                return None
            self.gain /= self.n
            self.loss /= self.n
        moved = self.gain + self.loss
        self.value = 50.0 if moved < _NOTHING else 100.0 * (self.gain / moved)
        return self.value


class ATR(msgspec.Struct):
    """Wilder's average true range over `n` bars, in the unit of the price."""

    n: int
    age: int = 0
    value: float | None = None
    close_last: float = 0.0
    seed_sum: float = 0.0

    def __post_init__(self) -> None:
        _period("ATR n", self.n)

    @property
    def ready_for_decisions(self) -> bool:
        """Whether the start is forgotten."""
        return self.age >= WILDER_READY_PERIODS * self.n

    def update(self, high: float, low: float, close: float) -> float | None:
        """Fold in the next bar; returns the value, None while seeding.

        Raises:
            ValueError: a price is not finite or high < low; the state is unchanged.
        """
        _range(high, low, close)
        move = true_range(high, low, self.close_last)
        self.age += 1
        self.close_last = close
        if self.age == 1:
            return None
        if self.value is not None:
            self.value = (self.value * (self.n - 1) + move) / self.n
            return self.value
        self.seed_sum += move
        if self.age == self.n + 1:
            self.value = self.seed_sum / self.n
        return self.value


class ADX(msgspec.Struct):
    """Wilder's average directional index over `n` bars, in [0, 100]: how directed the moves are, whichever way.

    Where nothing moves it keeps its last value (0 if nothing ever moved), as TA-Lib does.
    """

    n: int
    age: int = 0
    value: float | None = None
    high_last: float = 0.0
    low_last: float = 0.0
    close_last: float = 0.0
    plus_dm: float = 0.0
    minus_dm: float = 0.0
    moved: float = 0.0
    dx_sum: float = 0.0

    def __post_init__(self) -> None:
        _period("ADX n", self.n)

    @property
    def ready_for_decisions(self) -> bool:
        """Whether the start is forgotten."""
        return self.age >= WILDER_READY_PERIODS * self.n

    def update(self, high: float, low: float, close: float) -> float | None:
        """Fold in the next bar; returns the value, None while seeding.

        Raises:
            ValueError: a price is not finite or high < low; the state is unchanged.
        """
        _range(high, low, close)
        up, down = high - self.high_last, self.low_last - low
        move = true_range(high, low, self.close_last)
        self.age += 1
        self.high_last, self.low_last, self.close_last = high, low, close
        if self.age == 1:
            return None
        if self.age > self.n:
            self.plus_dm -= self.plus_dm / self.n
            self.minus_dm -= self.minus_dm / self.n
            self.moved -= self.moved / self.n
        self.plus_dm += up if up > 0 and up > down else 0.0
        self.minus_dm += down if down > 0 and down > up else 0.0
        self.moved += move
        if self.age > self.n:
            self._average(self._directional_index())
        return self.value

    def _directional_index(self) -> float | None:
        if self.moved < _NOTHING:
            return None
        plus, minus = 100.0 * (self.plus_dm / self.moved), 100.0 * (self.minus_dm / self.moved)
        return 100.0 * (abs(minus - plus) / (plus + minus)) if plus + minus >= _NOTHING else None

    def _average(self, dx: float | None) -> None:
        if self.value is not None:
            if dx is not None:
                self.value = (self.value * (self.n - 1) + dx) / self.n
            return
        self.dx_sum += dx or 0.0
        if self.age == 2 * self.n:
            self.value = self.dx_sum / self.n


class MACD(msgspec.Struct):
    """Moving average convergence/divergence: how far the fast EMA is above the slow one, and the EMA of that (the signal line).

    `value` is that lead, in the unit of the price.
    """

    fast: EMA = msgspec.field(default_factory=lambda: EMA(12))
    slow: EMA = msgspec.field(default_factory=lambda: EMA(26))
    signal: EMA = msgspec.field(default_factory=lambda: EMA(9))
    age: int = 0
    value: float | None = None

    def __post_init__(self) -> None:
        if self.fast.span >= self.slow.span:
            raise ValueError(f"MACD fast span is {self.fast.span}; it must be below the slow one, {self.slow.span}")

    @classmethod
    def of(cls, fast_span: int, slow_span: int, signal_span: int) -> MACD:
        """One of these spans (bars) that has seen nothing."""
        return cls(fast=EMA(fast_span), slow=EMA(slow_span), signal=EMA(signal_span))

    @property
    def ready_for_decisions(self) -> bool:
        """Whether the averages, and then the average of their distance, have forgotten the start."""
        return self.age >= EMA_READY_SPANS * (self.slow.span + self.signal.span)

    @property
    def histogram(self) -> float | None:
        """How far `value` is above its signal line; None while there is none."""
        return None if self.value is None or self.signal.value is None else self.value - self.signal.value

    def update(self, close: float) -> float | None:
        """Fold in the next bar's close; returns the value, None while seeding.

        Raises:
            ValueError: `close` is not finite; the state is unchanged.
        """
        _finite(close=close)
        self.age += 1
        slow = self.slow._fold(close)
        fast = self.fast._fold(close) if self.age > self.slow.span - self.fast.span else None
        if fast is not None and slow is not None and self.signal._fold(fast - slow) is not None:
            self.value = fast - slow
        return self.value


class Bollinger(msgspec.Struct):
    """Bollinger bands: the mean of the last `n` closes, and `width` deviations of them on both sides.

    `value` is the mean, in the unit of the price. All of the window is summed at each bar: n is small, and nothing creeps in.
    """

    n: int = 20
    width: float = 2.0
    age: int = 0
    value: float | None = None
    deviation: float = 0.0
    closes: list[float] = []

    def __post_init__(self) -> None:
        _period("Bollinger n", self.n)
        if not 0.0 < self.width <= 100.0:
            raise ValueError(f"Bollinger width is {self.width}; it must be positive, and at most 100 deviations")

    @property
    def ready_for_decisions(self) -> bool:
        """Whether the window is full."""
        return self.age >= self.n

    @property
    def lower(self) -> float | None:
        """The lower band; None while the window is not full."""
        return None if self.value is None else self.value - self.width * self.deviation

    @property
    def upper(self) -> float | None:
        """The upper band; None while the window is not full."""
        return None if self.value is None else self.value + self.width * self.deviation

    @property
    def position(self) -> float | None:
        """Where the last close stands: 0 on the lower band, 1 on the upper one; None while there are no bands, or only a line."""
        if self.value is None or self.deviation == 0.0:
            return None
        return 0.5 + (self.closes[-1] - self.value) / (2.0 * self.width * self.deviation)

    def update(self, close: float) -> float | None:
        """Fold in the next bar's close; returns the value, None while the window is not full.

        Raises:
            ValueError: `close` is not finite; the state is unchanged.
        """
        _finite(close=close)
        self.age += 1
        self.closes = [*self.closes, close][-self.n :]
        if len(self.closes) == self.n:
            first = self.closes[0]
            moved = [each - first for each in self.closes]
            mean = sum(moved) / self.n
            self.value = first + mean
            self.deviation = math.sqrt(sum((each - mean) ** 2 for each in moved) / self.n)
        return self.value


def series(indicator: Indicator, *columns: Iterable[float]) -> list[float | None]:
    """The values of `indicator` after each row of `columns` (close; or high, low, close), oldest first."""
    return [indicator.update(*row) for row in zip(*columns, strict=True)]


def true_range(high: float, low: float, close_last: float) -> float:
    """The greatest of the bar's range and its distances from the previous close, in the unit of the price."""
    return max(high - low, abs(high - close_last), abs(low - close_last))


def _period(name: str, n: int) -> None:
    if n < 2:
        raise ValueError(f"{name} is {n}; it must be at least 2 bars")


def _finite(**prices: float) -> None:
    for name, price in prices.items():
        if not math.isfinite(price) or abs(price) > MAGNITUDE_MAX:
            raise ValueError(f"{name} is {price}; an indicator takes finite prices only: drop or repair this bar")


def _range(high: float, low: float, close: float) -> None:
    _finite(high=high, low=low, close=close)
    if high < low:
        raise ValueError(f"high {high} is below low {low}: drop or repair this bar")
