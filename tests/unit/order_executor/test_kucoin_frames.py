"""What KuCoin's private topics and answers mean, where the emulated venue never says it."""

from __future__ import annotations

import pytest

from services.order_executor.adapters.frames import BadFrame
from services.order_executor.adapters.kucoin_frames import moved, order_news, order_of, stop_news, stop_of
from services.order_executor.adapters.names import OrderNames

BTC = "BTC-USDT"
STOP = {
    "symbol": BTC,
    "orderId": "vs1",
    "side": "sell",
    "size": "0.01",
    "stopPrice": "100",
    "orderPrice": "0",
    "type": "triggered",
    "ts": 1_700_000_000_123_456_789,
}
ORDER = {
    "symbol": BTC,
    "orderId": "o1",
    "clientOid": "mine",
    "side": "buy",
    "orderType": "limit",
    "originSize": "0.01",
    "filledSize": "0.004",
    "price": "100",
    "type": "match",
    "ts": 1_700_000_000_123_456_789,
}
MOVE = {
    "currency": "USDT",
    "availableChange": "-30",
    "holdChange": "0",
    "relationEvent": "trade.transfer",
    "relationEventId": "1",
    "time": "1700000000123",
}


def names() -> OrderNames:
    known = OrderNames()
    known.remember(BTC, "vs1", "stop")
    return known


def test_a_stop_whose_order_could_not_be_entered_has_ended():
    """A stop whose order could not be entered has ended, though it was reached: nothing protects any more."""
    told = stop_news({**STOP, "triggerSuccess": False, "error": "Balance insufficient!"}, (BTC,), names(), 1)
    assert (told.order.cl_ord_id, told.order.ord_status) == ("stop", "EXPIRED")


def test_a_stop_that_became_an_order_is_told_by_the_order():
    """A stop that became an order is told by the order, and one nobody named is not told at all."""
    assert stop_news({**STOP, "triggerSuccess": True}, (BTC,), names(), 1) is None
    assert stop_news({**STOP, "type": "cancel"}, (BTC,), OrderNames(), 1) is None
    assert stop_news({**STOP, "type": "cancel"}, (BTC,), names(), 1).order.ord_status == "CANCELED"


@pytest.mark.parametrize(
    ("kind", "status"),
    [("match", "PARTIALLY_FILLED"), ("open", "PARTIALLY_FILLED"), ("filled", "FILLED"), ("canceled", "CANCELED")],
)
def test_news_of_an_order_are_its_state_to_the_millisecond(kind, status):
    """News of an order are its state, as of the millisecond, and have one id when told twice."""
    told = [order_news({**ORDER, "type": kind}, (BTC,), names(), now) for now in (1, 2)]
    assert (told[0].order.ord_status, str(told[0].order.cum_qty)) == (status, "0.004")
    assert told[0].order.ts_event == 1_700_000_000_123_000_000
    assert told[0].id == told[1].id


def test_news_of_other_instruments_and_of_orders_that_do_not_stand_yet_are_left_out():
    """News of other instruments, and of orders that do not stand yet, are left out; nonsense is refused."""
    assert order_news({**ORDER, "symbol": "FOO-USDT"}, (BTC,), names(), 1) is None
    assert order_news({**ORDER, "type": "received"}, (BTC,), names(), 1) is None
    for broken in ({**ORDER, "filledSize": "much"}, {**ORDER, "side": "up"}, None, {}):
        with pytest.raises(BadFrame):
            order_news(broken, (BTC,), names(), 1)


@pytest.mark.parametrize(
    ("event", "amount"),
    [
        ("trade.transfer", "-30"),
        ("trade_hf.transfer", "-30"),
        ("trade.setted", None),
        ("trade.hold", None),
        ("main.deposit", None),
    ],
)
def test_money_moves_by_transfers_of_the_trade_account_alone(event, amount):
    """Money moves by transfers of the trade account alone; orders tell of theirs, other accounts are not ours to count."""
    told = moved({**MOVE, "relationEvent": event}, 1)
    assert (None if told is None else str(told.amount)) == amount


@pytest.mark.parametrize("data", [None, []])
def test_nothing_is_no_order(data):
    """Null and an empty list are no stop; null is no order; an answer without data is none."""
    assert stop_of({"code": "200000", "data": data}) is None
    assert order_of({"code": "200000", "data": None}) is None
    with pytest.raises(BadFrame):
        order_of({"code": "200000"})
