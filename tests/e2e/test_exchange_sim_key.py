"""exchange_sim: what the key may do, its loss, and a venue whose clock is wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.venue_stand import VenueStand, open_venue

RESTRICTIONS = "/sapi/v1/account/apiRestrictions"


@pytest.fixture
async def venue(tmp_path: Path) -> AsyncIterator[VenueStand]:
    """The venue, with a key that may withdraw."""
    async with open_venue(tmp_path, sim_key_withdrawals=True) as stand:
        yield stand


async def test_the_key_may_what_the_settings_say_until_it_is_told_otherwise(venue):
    """The key may what the settings say until it is told otherwise, and a restart of nobody is needed."""
    client = venue.client()
    said = await client.sapi_get_account_apirestrictions()
    assert (said["enableWithdrawals"], said["ipRestrict"], said["enableSpotAndMarginTrading"]) == (True, True, True)
    await venue.post("/sim/key", {"withdrawals": False, "trading": False})
    said = await client.sapi_get_account_apirestrictions()
    assert (said["enableWithdrawals"], said["enableSpotAndMarginTrading"]) == (False, False)
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"}
    for method, path in (("POST", "/api/v3/order"), ("DELETE", "/api/v3/order"), ("DELETE", "/api/v3/orderList")):
        status, answer = await venue.signed(method, path, **order)
        assert (status, answer["code"]) == (401, -2015)
    assert (await venue.signed("GET", "/api/v3/openOrders"))[0] == 200


async def test_everything_signed_is_refused_with_a_revoked_key_and_taken_again_with_it_restored(venue):
    """Everything signed is refused with a revoked key and taken again with it restored; what is public goes on."""
    for revoked, status in ((True, 401), (False, 200)):
        assert (await venue.post("/sim/key", {"revoked": revoked}))["revoked"] is revoked
        for path in ("/api/v3/account", "/api/v3/openOrders", RESTRICTIONS):
            assert (await venue.signed("GET", path))[0] == status
        assert "serverTime" in await venue.get("/api/v3/time")


async def test_the_signature_is_asked_for_and_the_count_is_one_of_its_own(venue):
    """apiRestrictions wants a signature, and is counted apart from /api/v3."""
    assert (await venue.get(RESTRICTIONS))["code"] == -2014
    client = venue.client()
    for count in (2, 3):  # the refusal was one
        await client.sapi_get_account_apirestrictions()
        assert client.last_response_headers["X-SAPI-USED-IP-WEIGHT-1M"] == str(count)
        assert "X-MBX-USED-WEIGHT-1M" not in client.last_response_headers


@pytest.mark.parametrize("ms", [5_000, -5_000])
async def test_a_wrong_clock_is_told_and_time_stamps_are_checked_by_it(venue, ms):
    """A wrong clock is told and time stamps are checked by it."""
    await venue.post("/sim/clock-skew", {"ms": ms})
    now = venue.now // 1_000_000
    assert (await venue.get("/api/v3/time"))["serverTime"] == now + ms
    status, answer = await venue.signed("GET", "/api/v3/account", recvWindow=1_000)
    assert (status, answer["code"]) == (400, -1021)
    assert (await venue.signed("GET", "/api/v3/account", recvWindow=1_000, timestamp=now + ms))[0] == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/sim/key", {"revokd": True}),
        ("/sim/key", {"revoked": "yes"}),
        ("/sim/clock-skew", {}),
        ("/sim/clock-skew", {"ms": 10**9}),
    ],
)
async def test_what_is_not_understood_is_refused_and_changes_nothing(venue, path, body):
    """What is not understood is refused and changes nothing."""
    assert "error" in await venue.post(path, body)
    assert (await venue.get("/sim/key"))["revoked"] is False
    assert (await venue.signed("GET", "/api/v3/account"))[0] == 200
