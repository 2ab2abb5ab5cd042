"""Venue time, and who may ask for the account at that time."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from services.exchange_sim.clock import VenueClock
from services.exchange_sim.signing import ApiError, Gate

SECOND = 1_000_000_000
T0 = 1_700_000_000 * SECOND


class Wall:
    """A wall clock that tests move."""

    def __init__(self) -> None:
        self.ns = 5 * SECOND

    def __call__(self) -> int:
        return self.ns


def test_free_time_is_a_multiple_of_wall_time() -> None:
    """Sixty venue seconds a second, from the instant it was given."""
    wall = Wall()
    clock = VenueClock(T0, 60.0, wall)
    wall.ns += 2 * SECOND
    assert clock.now_ns() == T0 + 120 * SECOND


def test_stepped_time_moves_forwards_only() -> None:
    """It stands, whatever the wall says, and a step back is no step."""
    wall = Wall()
    clock = VenueClock(T0, 0.0, wall)
    wall.ns += 100 * SECOND
    clock.step_to(T0 - 1)
    assert clock.now_ns() == T0
    clock.step_to(T0 + 7)
    assert clock.now_ns() == T0 + 7


@pytest.mark.parametrize(
    ("speed", "behind_s", "late"), [(1.0, 4, False), (1.0, 6, True), (60.0, 290, False), (60.0, 310, True)]
)
def test_the_window_is_counted_in_wall_time(speed, behind_s, late) -> None:
    """A fast venue must not take the network's five seconds for five minutes."""
    clock = VenueClock(T0, speed, Wall())
    assert clock.is_behind((T0 - behind_s * SECOND) // 1_000_000, 5_000) is late
    assert clock.is_ahead(T0 // 1_000_000 + int(999 * speed)) is False
    assert clock.is_ahead(T0 // 1_000_000 + int(1000 * speed)) is True


def test_a_request_from_before_a_step_is_still_in_time() -> None:
    """In lock-step a minute passes between signing and arriving; that is not the sender's fault."""
    wall = Wall()
    clock = VenueClock(T0, 0.0, wall)
    stamp = T0 // 1_000_000
    clock.step_to(T0 + 3600 * SECOND)
    wall.ns += 4 * SECOND
    assert not clock.is_behind(stamp, 5_000)
    wall.ns += 2 * SECOND
    assert clock.is_behind(stamp, 5_000)
    assert not clock.is_behind((T0 + 3597 * SECOND) // 1_000_000, 5_000)


def signed(text: str, secret: str = "secret") -> str:
    return f"{text}&signature={hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()}"


GATE = Gate("key", "secret", VenueClock(T0, 0.0, Wall()))
NOW_MS = T0 // 1_000_000


def test_a_signed_request_is_opened_exactly_as_it_was_sent() -> None:
    """Percent signs and order are part of what was signed."""
    params = GATE.open_rest(signed(f"symbol=BTCUSDT&note=a%20b&timestamp={NOW_MS}"), "key")
    assert params == {"symbol": "BTCUSDT", "note": "a b", "timestamp": str(NOW_MS)}


@pytest.mark.parametrize(
    ("text", "key", "code"),
    [
        (signed(f"timestamp={NOW_MS}"), None, -2014),
        (signed(f"timestamp={NOW_MS}"), "other", -2015),
        (f"timestamp={NOW_MS}", "key", -1102),
        (signed(f"timestamp={NOW_MS}", "wrong"), "key", -1022),
        (signed(f"timestamp={NOW_MS}") + "ä", "key", -1022),
        (signed("a=1"), "key", -1102),
        (signed(f"timestamp={NOW_MS}&recvWindow=60001"), "key", -1131),
        (signed(f"timestamp={NOW_MS}&recvWindow=x"), "key", -1131),
        (signed(f"timestamp={NOW_MS - 5_001}"), "key", -1021),
        (signed(f"timestamp={NOW_MS + 1_000}"), "key", -1021),
    ],
)
def test_everything_else_is_refused_with_binances_code(text, key, code) -> None:
    """The order of the checks: key, signature, time."""
    with pytest.raises(ApiError) as caught:
        GATE.open_rest(text, key)
    assert caught.value.code == code


def test_the_websocket_form_signs_sorted_names_with_the_key_among_them() -> None:
    """Numbers and booleans are signed as they are written."""
    fields = {"timestamp": NOW_MS, "apiKey": "key", "flag": False, "qty": "0.1"}
    text = f"apiKey=key&flag=false&qty=0.1&timestamp={NOW_MS}"
    signature = signed(text).rpartition("=")[2]
    assert GATE.open_ws({**fields, "signature": signature})["flag"] == "false"
    for change, code in (({"qty": "0.2"}, -1022), ({"apiKey": None}, -2015), ({"signature": ""}, -1102)):
        with pytest.raises(ApiError) as caught:
            GATE.open_ws({**fields, "signature": signature, **change})
        assert caught.value.code == code


def test_a_venue_without_a_key_lets_nobody_in() -> None:
    """An empty key is not a key that matches an empty key."""
    with pytest.raises(ApiError, match="-2015"):
        Gate("", "", VenueClock(T0, 0.0, Wall())).check_key("x")
    with pytest.raises(ApiError, match="-2014"):
        Gate("", "", VenueClock(T0, 0.0, Wall())).check_key("")
