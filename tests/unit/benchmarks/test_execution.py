"""The arithmetic of `make bench-exec`: what it makes of times, not how long anything takes."""

from __future__ import annotations

from benchmarks.execution import Submission, compared, first_of_slots, means_ms
from benchmarks.venue_tap import Ear

MS = 1_000_000
SLOT_NS = 5_000 * MS


def submission(stored_ms: int, took_ms: int) -> Submission:
    """One whose append was answered after 1 ms and which was written ahead after 2."""
    stored = stored_ms * MS
    return Submission(stored=stored, acked=stored + MS, written=stored + 2 * MS, arrived=stored + took_ms * MS)


def test_paired_rounds_are_divided_round_by_round() -> None:
    """The ratio of medians and the median of ratios are two numbers, and both are told."""
    ours = [submission(1_000, 6), submission(2_000, 8), submission(6_000, 30)]
    floor = [submission(1_500, 3), submission(2_500, 8), submission(6_500, 5)]
    found = compared(ours, floor, SLOT_NS)
    assert found["submission_ms"]["ours"] == {"samples": 3, "p50": 8.0, "p99": 30.0, "max": 30.0}
    assert found["from_ack_ms"]["floor"]["p50"] == 4.0
    assert found["to_written_ms"]["ours"]["p50"] == 2.0
    assert found["to_wire_ms"]["ours"]["p50"] == 6.0
    assert found["ratio_of_p50"] == 1.6
    assert found["ratio_of_rounds"]["p50"] == 2.0
    assert found["ours_less_floor_ms"]["p50"] == 3.0
    assert (found["ours_first_of_slot_ms"]["samples"], found["ours_later_in_slot_ms"]["samples"]) == (2, 1)


def test_the_first_order_of_a_slot_is_told_apart() -> None:
    """Slots are those of the budget, and the order that leases one is the earliest in it."""
    orders = [submission(4_999, 1), submission(5_000, 1), submission(9_999, 1), submission(10_000, 1)]
    assert first_of_slots(orders, SLOT_NS) == [orders[0], orders[1], orders[3]]


def test_histograms_count_only_what_came_in_between() -> None:
    """What the executor did while it warmed up belongs to no mean; what was never counted has none."""
    names = ("bulkhead_handle_seconds", "bulkhead_append_seconds", "bulkhead_venue_weight_wait_seconds orders")
    before = {names[0]: (1.0, 10), names[1]: (5.0, 1)}
    after = {names[0]: (1.2, 110), names[1]: (5.0, 1), names[2]: (0.001, 2)}
    assert means_ms(before, after) == {"handle": 2.0, "append": 0.0, "budget_wait": 0.5}


def test_an_order_arrives_with_its_first_byte() -> None:
    """However a request is cut into pieces, its time is that of the first, and it is one order; nothing else is one."""
    ear, name, seal = Ear(), "ab" * 16, "f" * 64
    body = f"newClientOrderId={name}&signature={seal}".encode()
    assert ear.hear(b"GET /api/v3/account?timestamp=1 HTTP/1.1\r\n\r\n", 1) is None
    assert ear.hear(b"POST /api/v3/orderList/oco HTTP/1.1\r\n\r\n" + body, 2) is None
    assert ear.hear(b"POST /api/v3/order HTTP/1.1\r\n\r\n", 3) is None
    assert ear.hear(body[:30], 4) is None
    assert ear.hear(body[30:], 5) == (3, name)
    assert ear.hear(b"POST /api/v3/order HTTP/1.1\r\n\r\n" + body, 6) == (6, name)
