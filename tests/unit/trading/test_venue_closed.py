"""Money that comes and goes without us, and markets that close: what the account is afterwards."""

from __future__ import annotations

from decimal import Decimal as D

import pytest

from libs.trading.venue import VenueRejected
from tests.unit.trading.test_venue import order, owned, venue
from tests.unit.trading.test_venue_pairs import PAIR, told


def test_only_free_money_can_leave() -> None:
    """What an order locks stays, and an asset nobody had before can come in."""
    made = venue(usdt="1000", btc="0")
    made.submit(order("BUY", "LIMIT", "5", limit_px="90"), 2)
    with pytest.raises(VenueRejected, match="-2010"):
        made.transfer("USDT", D("-550.01"))
    made.transfer("USDT", D("-550"))
    made.transfer("EUR", D("7.5"))
    assert owned(made) == {"BTC": ("0", "0"), "EUR": ("7.5", "0"), "USDT": ("0", "450")}


@pytest.mark.parametrize(("status", "refusal"), [("BREAK", "-1013: Market is closed"), ("DELISTED", "-1121")])
def test_a_closed_market_expires_its_orders_and_takes_none(status, refusal) -> None:
    """The pair and the single order end without a fill, all locks are open, and a restart keeps it closed."""
    made = venue(btc="1")
    made.submit_pair(PAIR, 2)
    made.submit(order("SELL", "LIMIT", "0.5", "b", limit_px="120"), 3)
    assert [each[:2] for each in told(made.set_market("BTC-USDT", status, 4))] == [
        ("s", "EXPIRED"),
        ("t", "EXPIRED"),
        ("b", "EXPIRED"),
    ]
    assert owned(made)["BTC"] == ("1", "0")
    restarted = venue()
    restarted.restore(made.snapshot())
    for each in (made, restarted):
        assert each.market_status("BTC-USDT") == status
        with pytest.raises(VenueRejected, match=refusal):
            each.submit(order("SELL", "MARKET", "0.1"), 5)
        with pytest.raises(VenueRejected, match=refusal):
            each.submit_pair(PAIR, 5)
    made.on_quote("BTC-USDT", 101.0, 1.0, 101.01, 1.0, 6)
    assert made.set_market("BTC-USDT", "TRADING", 7) == []
    assert made.submit(order("SELL", "MARKET", "0.1"), 8)[1].fill.px == D("101")
