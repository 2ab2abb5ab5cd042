"""The script of faults and the weighing of calls, at the reading of a clock that tests move."""

from __future__ import annotations

import msgspec
import pytest

from services.exchange_sim.fault_script import FaultScript
from services.exchange_sim.faults import (
    FaultRefused,
    OrderFault,
    RestFault,
    SocketFault,
    VenueFault,
    fault_of,
    is_stream_like,
)
from services.exchange_sim.mangle import is_where, mangled
from services.exchange_sim.rest_faults import venue_of
from services.exchange_sim.weights import BAN_S, REFUSALS_BEFORE_BAN, Refusal, Weights, weight_of


class Wall:
    """A wall clock in seconds."""

    def __init__(self, seconds: float = 6_000.0) -> None:
        self.seconds = seconds

    def __call__(self) -> float:
        return self.seconds


def test_faults_of_orders_strike_in_their_order_and_then_no_more() -> None:
    """Two of one kind, then one of another, then none."""
    script = FaultScript()
    script.add(OrderFault(kind="reject", times=2))
    script.add(OrderFault(kind="http_503"))
    script.add(OrderFault(kind="http_503", times=-1))
    assert script.pending() == ["reject", "reject", "http_503"]
    assert taken(script, 4) == ["reject", "reject", "http_503", None]
    script.add(OrderFault(kind="reject"))
    assert script.end() == []
    assert script.take() is None


def taken(script: FaultScript, orders: int, *ord_types: str) -> list[str | None]:
    """What becomes of so many orders."""
    return [found.kind if (found := script.take(ord_types)) else None for _ in range(orders)]


def test_a_fault_of_one_type_of_order_stands_until_it_is_ended() -> None:
    """Other types pass, and what is scripted for any order waits for its turn among them."""
    wall = Wall()
    script = FaultScript(wall)
    standing = script.add(OrderFault(kind="reject", ord_type="STOP_LOSS"))
    script.add(OrderFault(kind="http_503"))
    assert script.pending() == ["http_503"]
    assert taken(script, 3, "STOP_LOSS", "LIMIT_MAKER", "OCO") == ["reject"] * 3
    assert taken(script, 2, "MARKET") == ["http_503", None]
    assert script.shown()["active"][0]["struck"] == 3
    assert script.take_standing(("STOP_LOSS",), "http_503") is None
    script.end(standing.number)
    assert taken(script, 1, "STOP_LOSS") == [None]
    script.add(OrderFault(kind="http_503", ord_type="OCO", times=2))
    assert taken(script, 3, "OCO") == ["http_503", "http_503", None]
    script.add(OrderFault(kind="reject", ord_type="OCO", seconds=5))
    assert taken(script, 2, "OCO") == ["reject", "reject"]
    wall.seconds += 5
    assert taken(script, 1, "OCO") == [None]


@pytest.mark.parametrize(
    "text",
    [
        '{"kind":"http_503","code":-1013}',
        '{"kind":"reject","seconds":3}',
        '{"kind":"reject","ord_type":"STOP_LOSS","times":0}',
        '{"kind":"reject","ord_type":"ICEBERG"}',
        '{"on":"socket","kind":"freeze","where":{"x":"TRADE"}}',
    ],
)
def test_what_would_mean_nothing_is_not_taken(text) -> None:
    """Rather than taken and never struck."""
    with pytest.raises(FaultRefused, match="wanted"):
        fault_of(text.encode())


def test_a_fault_leaves_with_its_last_strike_or_with_its_time() -> None:
    """Whichever comes first; without either it strikes once, and what lasts lasts."""
    wall = Wall()
    script = FaultScript(wall)

    def left(fault: SocketFault | RestFault, strikes: int, seconds: float) -> bool:
        standing = script.add(fault)
        for _ in range(strikes):
            script.strike(standing)
        wall.seconds += seconds
        found = bool(script.shown()["active"])
        script.end()
        return found

    assert not left(SocketFault(kind="drop"), 1, 0)
    assert left(SocketFault(kind="drop", times=2), 1, 1e9)
    assert left(SocketFault(kind="drop", seconds=5), 99, 4.9)
    assert not left(SocketFault(kind="drop", seconds=5), 0, 5.0)
    assert not left(SocketFault(kind="drop", seconds=5, times=2), 2, 0)
    assert left(SocketFault(kind="freeze"), 99, 1e9)
    assert not left(RestFault(kind="html", path="*"), 1, 0)


def test_what_is_over_strikes_no_more_and_is_ended_once() -> None:
    """Its time stops it; whatever it held is let go by whoever ends it, exactly once."""
    wall = Wall()
    script = FaultScript(wall)
    standing = script.add(VenueFault(kind="down", seconds=2))
    assert script.on_venue("kraken") is None
    assert script.on_venue("binance") == (standing, standing.fault)
    wall.seconds += 2
    assert script.on_venue("binance") is None
    assert script.end(standing.number + 1) == []
    assert not standing.is_ended
    assert script.end(standing.number) == [standing]
    assert standing.is_ended
    assert script.end(standing.number) == script.end() == []


def test_requests_are_struck_by_path_and_method_first_come_first() -> None:
    """A pattern must fit the whole path."""
    script = FaultScript(Wall())
    script.add(RestFault(kind="html", path="/api/v3/k*", method="GET"))
    script.add(RestFault(kind="empty", path="*", times=9))
    kinds = [
        found[1].kind if (found := script.on_request(method, path)) else None
        for method, path in (("GET", "/api/v3/klines"), ("POST", "/api/v3/klines"), ("GET", "/x/api/v3/klines"))
    ]
    assert kinds == ["html", "empty", "empty"]
    script.end(2)
    assert script.on_request("POST", "/api/v3/klines") is None


def test_what_is_shown_can_be_asked_for_again() -> None:
    """The listing of a fault is its JSON, with where it stands."""
    script = FaultScript(Wall())
    script.add(fault_of(b'{"on":"socket","kind":"mangle","stream":"trade","field":"p","value":null,"seconds":3}'))
    (shown,) = script.shown()["active"]
    state = {name: shown.pop(name) for name in ("id", "struck", "times_left", "seconds_left")}
    assert state == {"id": 1, "struck": 0, "times_left": None, "seconds_left": 3.0}
    assert shown == {"on": "socket", "kind": "mangle", "stream": "trade", "field": "p", "value": None, "seconds": 3.0}
    assert fault_of(msgspec.json.encode(shown)) == fault_of(msgspec.json.encode(shown | {"venue": "binance"}))


@pytest.mark.parametrize(
    ("pattern", "stream", "fits"),
    [
        ("btcusdt@trade", "btcusdt@trade", True),
        ("@trade", "ethusdt@trade", True),
        ("trade", "btcusdt@aggTrade", False),
        ("*@kline_?m", "btcusdt@kline_1m", True),
        ("*@kline_?m", "btcusdt@kline_15m", False),
    ],
)
def test_streams_are_named_in_part_or_by_pattern(pattern, stream, fits) -> None:
    """A part of the name is enough; a pattern fits all of it."""
    assert is_stream_like(pattern, stream) is fits


@pytest.mark.parametrize(
    ("frame", "change", "after"),
    [
        ('{"p":"1.50","T":7}', {"field": "p", "factor": 10.0}, '{"p":"15.00","T":7}'),
        ('{"p":"1.50","T":7}', {"field": "T", "offset": 60_000}, '{"p":"1.50","T":60007}'),
        ('{"p":1.5}', {"field": "p", "factor": -1}, '{"p":-1.5}'),
        ('{"p":"1.50"}', {"field": "p", "value": 0}, '{"p":0}'),
        ('{"p":"1.50"}', {"field": "p"}, "{}"),
        ('{"p":"soon","q":true}', {"field": "p", "factor": 2}, None),
        ('{"p":"soon","q":true}', {"field": "q", "factor": 2}, None),
        ('{"b":[["1.0","2"],["3.0","4"]]}', {"field": "b.1.0", "value": "9"}, '{"b":[["1.0","2"],["9","4"]]}'),
        ('{"b":[]}', {"field": "b.0.0", "value": "9"}, None),
        ('{"stream":"x","data":{"p":"1"}}', {"field": "p", "value": "2"}, '{"stream":"x","data":{"p":"2"}}'),
        (
            '{"data":[{"price":1.0},{"price":2.0}]}',
            {"field": "price", "value": 3},
            '{"data":[{"price":3},{"price":3}]}',
        ),
        ('{"data":[{"price":1.0},{"price":2.0}]}', {"field": "data.1.price"}, '{"data":[{"price":1.0},{}]}'),
        ("[1]", {"field": "p", "value": 1}, None),
    ],
)
def test_a_field_is_changed_where_there_is_one(frame, change, after) -> None:
    """By path, inside `data` too, in the form it had; a frame without it is left alone."""
    assert mangled(frame, SocketFault(kind="mangle", **change)) == after


@pytest.mark.parametrize(
    ("where", "fits"),
    [
        (None, True),
        ({}, True),
        ({"x": "TRADE"}, True),
        ({"event.x": "TRADE", "i": 7}, True),
        ({"x": "NEW"}, False),
        ({"x": "TRADE", "nothing": 1}, False),
    ],
)
def test_a_frame_is_picked_by_what_its_fields_say(where, fits) -> None:
    """All of them, inside `event` too."""
    assert is_where('{"subscriptionId":0,"event":{"x":"TRADE","i":7}}', where) is fits


def test_a_path_tells_the_venue() -> None:
    """Two venues have a prefix, the third has the rest."""
    assert [venue_of(path) for path in ("/kraken/0/public/Time", "/kucoin/api/v1/timestamp", "/api/v3/time", "")] == [
        "kraken",
        "kucoin",
        "binance",
        "binance",
    ]


@pytest.mark.parametrize(
    ("method", "call", "query", "weight"),
    [
        ("GET", "depth", {}, 5),
        ("GET", "depth", {"limit": "101"}, 25),
        ("GET", "depth", {"limit": "1000"}, 50),
        ("GET", "depth", {"limit": "5000"}, 250),
        ("GET", "ticker/24hr", {"symbol": "X"}, 2),
        ("GET", "ticker/24hr", {}, 80),
        ("GET", "ticker/24hr", {"symbols": '["A","B"]'}, 2),
        ("GET", "ticker/24hr", {"symbols": ",".join("X" * 21)}, 40),
        ("GET", "openOrders", {"symbol": "X"}, 6),
        ("GET", "openOrders", {}, 80),
        ("GET", "myTrades", {"orderId": "1"}, 5),
        ("GET", "account", {}, 20),
        ("GET", "order", {}, 4),
        ("POST", "order", {}, 1),
        ("DELETE", "order", {}, 1),
        ("POST", "orderList/oco", {}, 1),
        ("DELETE", "orderList", {}, 1),
        ("GET", "orderList", {}, 4),
        ("GET", "openOrderList", {}, 6),
    ],
)
def test_calls_weigh_what_they_weigh_at_binance(method, call, query, weight) -> None:
    """By endpoint, and by how much is asked of it."""
    assert weight_of(method, f"/api/v3/{call}", query) == weight


def refusal(weights: Weights, weight: int = 10) -> tuple[int, int] | None:
    try:
        weights.spend("1.2.3.4", weight)
    except Refusal as refused:
        return refused.status, refused.retry_after_s
    return None


def test_each_minute_and_each_caller_begins_at_nothing() -> None:
    """The limit itself may be used; what one address used is nothing to another."""
    wall = Wall(60.0 * 100 + 45)
    weights = Weights(100, wall)
    assert weights.spend("1.2.3.4", 100) == 100
    assert refusal(weights) == (429, 15)
    assert weights.spend("5.6.7.8", 100) == 100
    wall.seconds += 15
    assert weights.used("1.2.3.4") == 0
    assert refusal(weights) is None


def test_going_on_after_a_429_is_a_ban_and_the_next_one_is_longer() -> None:
    """The ban outlives the minute; then everything is as before, but not forgotten."""
    wall = Wall()
    weights = Weights(5, wall)
    for ban_s in (BAN_S, 2 * BAN_S):
        assert [refusal(weights) for _ in range(REFUSALS_BEFORE_BAN)] == [(429, 60)] * REFUSALS_BEFORE_BAN
        assert refusal(weights) == (418, ban_s)
        wall.seconds += ban_s - 1
        assert refusal(weights) == (418, 1)
        wall.seconds += 1


def test_orders_are_counted_in_tens_of_seconds() -> None:
    """A new count with each window."""
    wall = Wall()
    weights = Weights(0, wall)
    assert [weights.count_orders(1), weights.count_orders(2)] == [1, 3]
    wall.seconds += 10
    assert weights.count_orders(1) == 1
    assert refusal(weights, 10**9) is None
