"""What the executor shows Prometheus: what is held without a stop, orders nobody knows the fate of, how long a submission takes, and how it stands
with the venue. All but the submissions are computed when they are asked for, so they cannot lag behind.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from prometheus_client.registry import Collector

from libs.common.metrics import trading as declared
from libs.runtime.made_metrics import Family, exemplar, family_of, histogram_of
from services.order_executor.guards import uncovered
from services.order_executor.state import State

COMPUTED = (declared.UNCOVERED, declared.ORDERS_UNKNOWN, declared.USER_STREAM_UP, declared.VENUE_CLOCK_OFFSET)


class VenueLine(msgspec.Struct, frozen=True):
    """How it stands with a venue: whether it tells us of our orders by itself, and its clock less ours (s; None: not measured yet)."""

    venue: str
    is_heard: bool
    clock_offset_s: float | None


class ExecutionSeries(Collector):
    """The series of one executor; `state` shows the machine's memory, `line` the venue, `instruments` have a series even when nothing is held."""

    def __init__(
        self,
        registry: Any,
        state: Callable[[], State | None],
        instruments: tuple[str, ...],
        line: Callable[[], VenueLine],
    ):
        self._state = state
        self._line = line
        self._instruments = instruments
        self._seconds = histogram_of(declared.SUBMIT_SECONDS, registry)
        for outcome in declared.SUBMIT_SECONDS.labels[0].values:
            self._seconds.labels(outcome)  # from 0 on: the first failure is a step that rate() sees
        if registry is not None:
            registry.register(self)

    def submitted(self, outcome: str, seconds: float, trace_id: str = "") -> None:
        """A submission ended so; `trace_id`: where that can be seen."""
        self._seconds.labels(outcome).observe(seconds, exemplar(trace_id))

    def describe(self) -> list[Family]:
        """The families, empty: nothing is computed for a registration."""
        return [family_of(each) for each in COMPUTED]

    def collect(self) -> Iterator[Family]:
        """The families as they stand now."""
        bare, unknown, heard, offset = self.describe()
        state = self._state()
        if state is not None:
            gaps = notional_uncovered(state)
            for instrument in dict.fromkeys((*self._instruments, *gaps)):
                bare.add_metric((instrument,), gaps.get(instrument, 0.0))
            unknown.add_metric((), sum(order.status == "UNKNOWN" for order in state.orders.values()))
        line = self._line()
        heard.add_metric((line.venue,), line.is_heard)
        if line.clock_offset_s is not None:
            offset.add_metric((line.venue,), line.clock_offset_s)
        yield from (bare, unknown, heard, offset)


def notional_uncovered(state: State) -> dict[str, float]:
    """By instrument, what nothing covers, at the protective price; without one at the stop's; without any it is infinite."""
    return {
        instrument: float(qty) * (_price(state, instrument) or math.inf) for instrument, qty in uncovered(state).items()
    }


def _price(state: State, instrument: str) -> float:
    mark, holding = state.marks.get(instrument), state.holdings.get(instrument)
    if mark is not None and mark.protective_px > 0:
        return mark.protective_px
    if mark is not None and mark.bid_px > 0 and mark.ask_px > 0:
        return (mark.bid_px + mark.ask_px) / 2
    return float(holding.stop_px) if holding is not None and holding.stop_px is not None else 0.0
