"""When a venue may be called after it has said 429 or 418: to us, or, as others say, to them."""

from __future__ import annotations

import pytest

from libs.runtime.venue_terms import SECOND_NS
from libs.runtime.weight_breaker import PAUSE_S, Breaker, Gate, Stance

T = 1_800_000_000 * SECOND_NS


def s(seconds: float) -> int:
    return int(seconds * SECOND_NS)


def test_after_429_everybody_waits_for_retry_after_then_one_question_goes_and_its_answer_opens_the_way() -> None:
    """OPEN, HALF, CLOSED; orders go as soon as the time is over."""
    gate = Gate()
    assert gate.told(T, 429, 7.0)
    assert (gate.opens_at(T, "data"), gate.opens_at(T, "orders")) == (T + s(7), T + s(7))
    assert not gate.admits(T + s(6.9), "orders")
    after = T + s(7)
    assert [gate.admits(after, "orders") for _ in range(3)] == [True] * 3
    assert [gate.admits(after, "data") for _ in range(3)] == [True, False, False]
    assert gate.told(after + 1, 200, None)
    assert [gate.admits(after + 2, "data") for _ in range(3)] == [True] * 3


def test_a_probe_that_is_refused_again_closes_the_way_again() -> None:
    """The new Retry-After counts."""
    gate = Gate()
    gate.told(T, 429, 1.0)
    assert gate.admits(T + s(1), "data")
    gate.told(T + s(1.1), 429, 5.0)
    assert gate.opens_at(T + s(2), "data") == T + s(6.1)


def test_after_a_refused_probe_the_next_one_goes_when_the_venue_said() -> None:
    """The venue has answered: nobody waits for an answer that has come."""
    gate = Gate()
    gate.told(T, 429, 1.0)
    assert gate.admits(T + s(1), "data")
    gate.told(T + s(1.1), 418, 2.0)
    assert gate.admits(T + s(3.1), "data")


def test_a_probe_without_an_answer_is_given_up() -> None:
    """Otherwise one lost connection would silence the data lane for ever."""
    gate = Gate()
    gate.told(T, 429, 1.0)
    assert gate.admits(T + s(1), "data")
    assert not gate.admits(T + s(10), "data")
    assert gate.admits(T + s(11), "data")


def test_an_answer_that_was_under_way_does_not_end_a_refusal() -> None:
    """A good answer heard before Retry-After is over says nothing."""
    gate = Gate()
    gate.told(T, 429, 5.0)
    assert not gate.told(T + s(1), 200, None)
    assert gate.stance(T + s(1), "data") is Stance.OPEN


def test_a_ban_is_obeyed_to_its_end_by_orders_too() -> None:
    """To call during a ban prolongs it; a 429 heard meanwhile does not shorten it."""
    gate = Gate()
    gate.told(T, 418, 3600.0)
    gate.told(T + s(1), 429, 1.0)
    assert gate.opens_at(T + s(3599), "orders") == T + s(3600)


def test_an_order_waits_a_minute_for_a_429_and_no_longer() -> None:
    """Whatever stands in Retry-After: then one order asks, and the next waits for its answer."""
    gate = Gate()
    gate.told(T, 429, 500.0)
    assert gate.opens_at(T, "orders") == T + s(60)
    assert [gate.admits(T + s(60), "orders") for _ in range(2)] == [True, False]
    assert gate.opens_at(T + s(60), "data") == T + s(500)


@pytest.mark.parametrize("status", [418, 429])
def test_a_venue_that_does_not_say_how_long_is_left_alone_for_a_while(status: int) -> None:
    """Ten seconds, or the shortest ban there is."""
    gate = Gate()
    gate.told(T, status, None)
    assert gate.opens_at(T, "data") == T + s(PAUSE_S[status])


@pytest.mark.parametrize("status", [403, 500, 503])
def test_a_firewall_and_a_broken_venue_prove_nothing(status: int) -> None:
    """Only an answer of the venue itself shows that we are served again."""
    gate = Gate()
    gate.told(T, 429, 1.0)
    assert not gate.told(T + s(2), status, None)
    assert gate.stance(T + s(2), "data") is Stance.HALF


def test_what_another_process_heard_holds_an_order_for_two_seconds_and_data_for_thirty() -> None:
    """Then one request of ours asks the venue itself."""
    gate = Gate()
    gate.heard(T, {"feed": Breaker(418, T, T + s(3600))})
    assert (gate.opens_at(T, "orders"), gate.opens_at(T, "data")) == (T + s(2), T + s(30))
    assert [gate.admits(T + s(2), "orders") for _ in range(2)] == [True, False]
    gate.told(T + s(2.1), 418, 3597.0)
    assert gate.opens_at(T + s(3), "orders") == T + s(3599.1)


def test_the_venues_answer_to_us_refutes_what_another_process_says() -> None:
    """One good answer, and everything goes; a new claim cannot hold us again within the minute."""
    gate = Gate()
    gate.heard(T, {"feed": Breaker(429, T, T + s(600))})
    assert gate.admits(T + s(2), "orders")
    gate.told(T + s(2.1), 200, None)
    assert gate.stance(T + s(2.2), "data") is Stance.CLOSED
    gate.heard(T + s(3), {"feed": Breaker(429, T + s(3), T + s(600))})
    assert gate.opens_at(T + s(3), "orders") == 0


def test_a_predecessors_ban_is_ours() -> None:
    """A restart is no way around it."""
    gate = Gate()
    gate.adopt(Breaker(418, T, T + s(100)))
    assert gate.opens_at(T + s(1), "orders") == T + s(100)
