"""The doctor asks a real (simulated) venue about our key, our clock, our instruments and its history."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from libs.common.messages import VenueChecked
from services.cli.doctor import Finding
from services.cli.doctor_stack import check_bus_clock
from services.cli.doctor_venue import check_credentials, examine_venue, findings_of
from services.cli.doctor_warm_up import check_warm_up
from services.cli.place import Place
from services.market_feed.settings import Settings as FeedSettings
from services.order_executor.settings import Settings as ExecutorSettings
from services.signal_agents.macro.settings import Settings as MacroSettings
from services.signal_agents.trend.settings import Settings as TrendSettings
from tests.e2e.venue_stand import VenueStand, open_venue
from tests.nats_stack import NatsStack

PUBLIC_KEY = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key().public_bytes_raw().hex()
INSTRUMENTS = ("BTC-USDT", "ETH-USDT")


@pytest.fixture
async def venue(tmp_path: Path) -> AsyncIterator[VenueStand]:
    """exchange_sim, with key files that only we can read."""
    async with open_venue(tmp_path / "venue") as stand:
        for name in ("key", "secret", "passphrase"):
            (stand.settings.home / name).chmod(0o600)
        yield stand


def executor(venue: VenueStand, **more: object) -> ExecutorSettings:
    """What an executor at this venue is told."""
    told = {
        "exec_gate_public_key": PUBLIC_KEY,
        "exec_api_key_file": venue.settings.home / "key",
        "exec_api_secret_file": venue.settings.home / "secret",
        "exec_venue_url": venue.url,
        "clock_url": f"ws{venue.url.removeprefix('http')}/sim/clock",
    }
    return ExecutorSettings(**(told | more))


def levels(findings: list[Finding]) -> dict[str, str]:
    """Each check's level; whatever is not well comes with a cure."""
    assert all(bool(each.cure) == (each.level != "OK") for each in findings)
    return {each.check: each.level for each in findings}


async def test_a_key_that_may_trade_and_no_more_is_well(venue: VenueStand) -> None:
    """Also before live trading."""
    said = await examine_venue(executor(venue), live=True)
    assert levels(said) == {"credentials": "OK", "venue key": "OK", "instruments": "OK"}


@pytest.mark.parametrize(
    ("rights", "paper", "live"),
    [
        ({"withdrawals": True}, "FAIL", "FAIL"),
        ({"trading": False}, "FAIL", "FAIL"),
        ({"ip_restricted": False}, "WARN", "FAIL"),
        ({"revoked": True}, "WARN", "FAIL"),
    ],
)
async def test_what_the_key_may_is_judged(venue: VenueStand, rights: dict[str, bool], paper: str, live: str) -> None:
    """Withdrawals never; what is only unwise stops live trading alone, and so does what the venue does not say."""
    await venue.post("/sim/key", rights)
    assert levels(await examine_venue(executor(venue)))["venue key"] == paper
    assert levels(await examine_venue(executor(venue), live=True))["venue key"] == live


async def test_an_instrument_that_is_not_traded_is_named(venue: VenueStand) -> None:
    """It would be denied for ever."""
    said = await examine_venue(executor(venue, instruments=("BTC-USDT", "DOGE-USDT")))
    assert [each.text for each in said if each.check == "instruments"] == ["not traded there now: DOGE-USDT"]


async def test_a_venue_that_does_not_run_is_no_failure_on_this_machine(venue: VenueStand) -> None:
    """`bulkhead up` starts it; a real one that does not answer is another matter."""
    nobody = executor(venue, exec_venue_url="http://127.0.0.1:1")
    assert levels(await examine_venue(nobody)) == {"venue": "OK"}
    lost = executor(venue, exec_venue_url="https://venue.invalid", clock_url="", exec_deadline_ms=500)
    assert levels(await examine_venue(lost))["venue"] == "FAIL"
    silent = executor(venue, clock_url="ws://127.0.0.1:1/sim/clock")
    assert levels(await examine_venue(silent))["venue"] == "FAIL"


async def test_real_orders_go_to_no_place_by_default(venue: VenueStand) -> None:
    """Live, somebody must have named the venue, and it must be there: nobody starts one."""
    nobody = executor(venue, exec_venue_url="http://127.0.0.1:1", clock_url="", exec_deadline_ms=500)
    assert levels(await examine_venue(nobody, live=True))["venue"] == "FAIL"
    settings = executor(venue)
    unsaid = settings.model_copy()
    unsaid.model_fields_set.discard("exec_venue_url")
    (found,) = await examine_venue(unsaid, live=True)
    assert (found.level, found.text) == ("FAIL", "nobody has said which venue is traded")


async def test_key_files_that_are_not_ours_alone_are_named(venue: VenueStand) -> None:
    """Read by others, and key and secret in each other's place."""
    settings = executor(venue)
    assert check_credentials(settings).text == "in the form of binance: key 0600, secret 0600"
    settings.exec_api_secret_file.chmod(0o640)
    found = check_credentials(settings)
    assert (found.level, "mode 0640" in found.text) == ("FAIL", True)
    assert levels(await examine_venue(settings)) == {"credentials": "FAIL"}
    settings.exec_api_secret_file.chmod(0o600)
    settings.exec_api_secret_file.write_text(venue.key)
    assert "are the same" in check_credentials(settings).text


@pytest.mark.parametrize(
    ("drift_ms", "level"), [(0, "OK"), (-500, "OK"), (501, "WARN"), (-2_000, "WARN"), (2_001, "FAIL"), (None, "WARN")]
)
def test_how_far_the_venues_clock_may_be(drift_ms: int | None, level: str) -> None:
    """Half a second is told, two seconds are as old as a price may be."""
    said = VenueChecked(
        request_id="x",
        ok=True,
        detail="",
        clock_drift_ms=drift_ms,
        can_trade=True,
        can_withdraw=False,
        ip_restricted=True,
        maker_bps=None,
        taker_bps=None,
        tradable=INSTRUMENTS,
    )
    assert levels(findings_of(said, INSTRUMENTS, live=False))["venue clock"] == level


async def test_the_bus_has_our_time(nats: NatsStack, tmp_path: Path) -> None:
    """Here it is one machine; nobody there is nothing to tell."""
    place = Place(home=nats.home, nats_url=nats.url, stream="TRADING_0001")
    assert levels(await check_bus_clock(place)) == {"bus clock": "OK"}
    assert await check_bus_clock(Place(home=tmp_path, nats_url="nats://127.0.0.1:1", stream="TRADING_0001")) == []


# --- history --------------------------------------------------------------------------------------------------------


async def test_the_venue_has_the_history_that_the_slowest_indicator_needs(venue: VenueStand) -> None:
    """Of every instrument; and the feed asks for that much."""
    feed = FeedSettings(feed_venue_url=venue.url)
    loaded = {"market-feed": feed, "agent-trend": TrendSettings(), "agent-macro": MacroSettings()}
    found = await check_warm_up(loaded)
    assert (found.level, found.text) == ("OK", "history for 2 services and 2 instruments")
    loaded["market-feed"] = FeedSettings(feed_venue_url=venue.url, feed_history_bars=249)
    assert (await check_warm_up(loaded)).text.startswith("agent-trend needs 250 bars of 15m, the feed publishes 249")


@pytest.mark.parametrize("home", ["kraken", "kucoin"])
async def test_history_is_asked_of_the_home_venue(venue: VenueStand, home: str) -> None:
    """Whichever it is."""
    feed = FeedSettings(feed_venue_url=venue.url, feed_venues=(home,))
    assert (await check_warm_up({"market-feed": feed, "agent-trend": TrendSettings()})).level == "OK"


async def test_history_that_nobody_tells_is_a_warning(venue: VenueStand) -> None:
    """Trading only begins later."""
    loaded = {"market-feed": FeedSettings(feed_venue_url=f"{venue.url}/nothing-here"), "agent-trend": TrendSettings()}
    assert (await check_warm_up(loaded)).level == "WARN"
    loaded["market-feed"] = FeedSettings(feed_venue_url=venue.url, instruments=("DOGE-USDT",))
    assert (await check_warm_up(loaded)).level == "WARN"
    loaded["market-feed"] = FeedSettings(feed_venue_url="http://127.0.0.1:1")
    assert "nobody can say" in (await check_warm_up(loaded)).text
