"""Cancel/replace as unmodified ccxt asks for it: what each half says, and with which status."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import ccxt
import pytest

from tests.e2e.venue_stand import VenueStand, open_venue

PATH = "/api/v3/order/cancelReplace"
OLD, NEW = "o" * 32, "n" * 32


@pytest.fixture
async def venue(tmp_path: Path) -> AsyncIterator[VenueStand]:
    """A venue with a stop of ours far below the market; its time stands still."""
    async with open_venue(tmp_path / "home", sim_balances="USDT=10000,BTC=0.01") as stand:
        await stand.advance(30)
        status, _ = await stand.signed(
            "POST", "/api/v3/order", **_stop(newClientOrderId=OLD, stopPrice="10000.00", quantity="0.01")
        )
        assert status == 200
        yield stand


def _stop(**more: str) -> dict[str, str]:
    return {"symbol": "BTCUSDT", "side": "SELL", "type": "STOP_LOSS", **more}


def wanted(**more: Any) -> dict[str, Any]:
    """The same stop at a higher price; a parameter that is None is left out."""
    asked = {
        **_stop(newClientOrderId=NEW, stopPrice="11000.00", quantity="0.01"),
        "cancelReplaceMode": "STOP_ON_FAILURE",
        "cancelOrigClientOrderId": OLD,
        "newOrderRespType": "FULL",
        **more,
    }
    return {name: value for name, value in asked.items() if value is not None}


async def rests(venue: VenueStand) -> list[str]:
    """The client ids of what is open."""
    return [each["clientOrderId"] for each in await venue.client().private_get_openorders({"symbol": "BTCUSDT"})]


async def test_both_halves_are_answered(venue) -> None:
    """Each with its own order; only the new one is left, and the user's client sees it as any other."""
    exchange = venue.client()
    answer = await exchange.private_post_order_cancelreplace(wanted())
    assert (answer["cancelResult"], answer["newOrderResult"]) == ("SUCCESS", "SUCCESS")
    gone, placed = answer["cancelResponse"], answer["newOrderResponse"]
    assert (gone["origClientOrderId"], gone["status"]) == (OLD, "CANCELED")
    assert (placed["clientOrderId"], placed["status"], placed["fills"]) == (NEW, "NEW", [])
    assert await rests(venue) == [NEW]
    assert exchange.last_response_headers["X-MBX-ORDER-COUNT-10S"] == "2"


async def test_an_old_order_that_is_not_open_stops_it(venue) -> None:
    """400, and the new order was not attempted."""
    status, answer = await venue.signed("POST", PATH, **wanted(cancelOrigClientOrderId="x" * 32))
    assert (status, answer["code"]) == (400, -2022)
    assert (answer["data"]["cancelResult"], answer["data"]["newOrderResult"]) == ("FAILURE", "NOT_ATTEMPTED")
    assert (answer["data"]["cancelResponse"]["code"], answer["data"]["newOrderResponse"]) == (-2011, None)
    assert await rests(venue) == [OLD]


async def test_a_new_order_that_would_trigger_is_refused_after_the_cancel(venue) -> None:
    """409: the old order is gone, and nothing is in its place."""
    status, answer = await venue.signed("POST", PATH, **wanted(stopPrice="500000.00"))
    assert (status, answer["code"]) == (409, -2021)
    assert (answer["data"]["cancelResult"], answer["data"]["newOrderResult"]) == ("SUCCESS", "FAILURE")
    assert answer["data"]["cancelResponse"]["status"] == "CANCELED"
    assert answer["data"]["newOrderResponse"]["code"] == -2010
    assert await rests(venue) == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"quantity": "0.0000001"}, -1013),
        ({"stopPrice": None}, -1102),
        ({"cancelReplaceMode": "ALLOW_FAILURE"}, -1102),
        ({"cancelReplaceMode": None}, -1102),
        ({"cancelOrigClientOrderId": None}, -1102),
        ({"symbol": "NOPE"}, -1121),
    ],
)
async def test_a_bad_request_changes_nothing(venue, change, code) -> None:
    """It is refused before either half, with a code and no data."""
    status, answer = await venue.signed("POST", PATH, **wanted(**change))
    assert (status, answer["code"], "data" in answer) == (400, code, False)
    assert await rests(venue) == [OLD]


async def test_half_a_replacement_is_an_error_to_ccxt(venue) -> None:
    """ccxt raises, and drops which half it was: whoever wants to know reads the body."""
    with pytest.raises(ccxt.BaseError, match="-2021"):
        await venue.client().private_post_order_cancelreplace(wanted(stopPrice="500000.00"))
