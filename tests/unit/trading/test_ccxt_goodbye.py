"""How long a client of ccxt takes its leave."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ccxt.pro
import pytest

from libs.trading.binance_ccxt import ccxt_config
from libs.trading.public_ccxt import kraken_config, kucoin_config

VENUES = {"binance": ccxt_config, "kraken": kraken_config, "kucoin": kucoin_config}


@pytest.mark.parametrize(("venue", "config"), VENUES.items(), ids=VENUES)
def test_only_connections_with_tls_are_given_time_to_end(venue: str, config: Callable[[str], dict[str, Any]]) -> None:
    """A simulated venue is left at once, a real one as ccxt wants it."""
    client = getattr(ccxt.pro, venue)
    assert client(config("http://127.0.0.1:1")).timeout_on_exit == 0
    assert client(config("https://example.com")).timeout_on_exit == client.timeout_on_exit > 0
    assert client(config("")).timeout_on_exit == client.timeout_on_exit
