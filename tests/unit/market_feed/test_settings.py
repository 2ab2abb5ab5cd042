"""A feed that is told nonsense refuses to start."""

from __future__ import annotations

import pytest

from libs.runtime.settings import SettingsError, load_settings
from services.market_feed.settings import Settings


def test_the_defaults_are_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any variable the feed knows what to do."""
    settings = load_settings(Settings)
    assert settings.machine().instruments == ("BTC-USDT", "ETH-USDT")
    assert (settings.history_bars("1m"), settings.history_bars("1w")) == (500, 300)
    assert settings.cadence.interval == 250_000_000


@pytest.mark.parametrize("variable", ["BULKHEAD_FEED_VENUE_URL", "BULKHEAD_VENUE_URL"])
def test_the_venue_is_told_by_either_name(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One variable for the whole stack, or one for the feed."""
    monkeypatch.setenv(variable, "http://127.0.0.1:9")
    assert load_settings(Settings).feed_venue_url == "http://127.0.0.1:9"


def test_the_first_venue_is_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Orders go to the first one; the others stand in for its data."""
    monkeypatch.setenv("BULKHEAD_FEED_VENUES", "kraken, binance")
    settings = load_settings(Settings)
    assert (settings.home_venue, settings.feed_venues) == ("kraken", ("kraken", "binance"))


@pytest.mark.parametrize("value", ["bitmex", "binance,binance", "binance,kraken,mtgox", " , "])
def test_venues_we_do_not_know_are_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The complaint names the variable and what is known."""
    monkeypatch.setenv("BULKHEAD_FEED_VENUES", value)
    with pytest.raises(SettingsError, match=r"BULKHEAD_FEED_VENUES.*binance, kraken, kucoin"):
        load_settings(Settings)


def test_the_real_venues_have_their_own_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """One local server speaks for all; binance.com does not speak for Kraken, and streams elsewhere than it answers."""
    settings = load_settings(Settings)
    assert (settings.url, settings.sockets_url) == ("http://127.0.0.1:4202", "ws://127.0.0.1:4202")
    monkeypatch.setenv("BULKHEAD_VENUE_URL", "https://api.binance.com/")
    real = load_settings(Settings)
    assert (real.url, real.sockets_url) == ("", "wss://stream.binance.com:9443")


def test_instruments_are_a_list_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blanks and a trailing comma are forgiven."""
    monkeypatch.setenv("BULKHEAD_INSTRUMENTS", "BTC-USDT, SOL-USDT,")
    assert load_settings(Settings).instruments == ("BTC-USDT", "SOL-USDT")


@pytest.mark.parametrize("value", ["BTC/USDT", "BTCUSDT", "BTC-USDT,BTC-USDT", " , "])
def test_bad_instruments_are_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The complaint names the variable."""
    monkeypatch.setenv("BULKHEAD_INSTRUMENTS", value)
    with pytest.raises(SettingsError, match="BULKHEAD_INSTRUMENTS"):
        load_settings(Settings)
