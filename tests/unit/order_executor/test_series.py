"""What Prometheus sees of the executor and its venue: failures count from 0 on, and a clock that nobody has measured is not right."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from services.order_executor.adapters.gauges import ExecutionSeries, VenueLine

CLOCK = "bulkhead_exec_venue_clock_offset_seconds"
BINANCE = {"venue": "binance"}


def test_the_first_failure_is_seen_as_a_step() -> None:
    """A counter that begins at 1 has never grown, for whoever looks at its growth."""
    registry = CollectorRegistry()
    series = ExecutionSeries(registry, lambda: None, (), lambda: VenueLine("binance", True, None))
    count = "bulkhead_exec_submit_seconds_count"
    outcomes = ("CONFIRMED", "HALFWAY", "REJECTED", "UNKNOWN", "NEVER_SENT")
    assert [registry.get_sample_value(count, {"outcome": each}) for each in outcomes] == [0] * 5
    series.submitted("REJECTED", 0.1)
    assert registry.get_sample_value(count, {"outcome": "REJECTED"}) == 1


def test_the_venue_is_shown_as_far_as_it_is_known() -> None:
    """Deaf to its own reports is 0; a clock has no offset before it was asked for."""
    registry, line = CollectorRegistry(), [VenueLine("binance", False, None)]
    ExecutionSeries(registry, lambda: None, (), lambda: line[0])
    assert registry.get_sample_value("bulkhead_exec_user_stream_up", BINANCE) == 0
    assert registry.get_sample_value(CLOCK, BINANCE) is None
    line[0] = VenueLine("binance", True, -0.25)
    assert registry.get_sample_value("bulkhead_exec_user_stream_up", BINANCE) == 1
    assert registry.get_sample_value(CLOCK, BINANCE) == -0.25
