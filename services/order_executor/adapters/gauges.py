"""What the executor shows Prometheus: what is held without a stop, orders nobody knows the fate of, how long a submission takes.

The first two are computed from the machine's state when they are asked for, so they cannot lag behind it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client import Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from services.order_executor.guards import uncovered
from services.order_executor.state import State

UNCOVERED = "bulkhead_stop_uncovered_notional"
UNKNOWN = "bulkhead_exec_orders_unknown"
SUBMIT_SECONDS = "bulkhead_exec_submit_seconds"
_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)


class ExecutionSeries(Collector):
    """The series of one executor; `state` shows the machine's memory, `instruments` have a series even when nothing is held."""

    def __init__(self, registry: Any, state: Callable[[], State | None], instruments: tuple[str, ...]):
        self._state = state
        self._instruments = instruments
        self._seconds = Histogram(
            SUBMIT_SECONDS,
            "how long an order or a pair took from the request to the answer, or to its being refused a place",
            ("outcome",),
            registry=registry,
            buckets=_BUCKETS,
        )
        if registry is not None:
            registry.register(self)

    def submitted(self, outcome: str, seconds: float) -> None:
        """A submission ended so."""
        self._seconds.labels(outcome).observe(seconds)

    def describe(self) -> list[GaugeMetricFamily]:
        """The families, empty: nothing is computed for a registration."""
        return [_uncovered_family(), _unknown_family()]

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The families as they stand now."""
        bare, unknown = _uncovered_family(), _unknown_family()
        state = self._state()
        if state is not None:
            gaps = notional_uncovered(state)
            for instrument in dict.fromkeys((*self._instruments, *gaps)):
                bare.add_metric((instrument,), gaps.get(instrument, 0.0))
            unknown.add_metric((), sum(order.status == "UNKNOWN" for order in state.orders.values()))
        yield bare
        yield unknown


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


def _uncovered_family() -> GaugeMetricFamily:
    meaning = "what is held and neither a resting stop nor an exit covers, in quote currency"
    return GaugeMetricFamily(UNCOVERED, meaning, labels=("instrument",))


def _unknown_family() -> GaugeMetricFamily:
    return GaugeMetricFamily(UNKNOWN, "orders whose fate is unknown", labels=())
