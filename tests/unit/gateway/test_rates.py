"""The table of budgets: bounded, whoever comes, and fair to who was there before."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.gateway import rates
from services.gateway.rates import ADDRESS, FAILURES, TOKEN, Rates
from services.gateway.settings import Settings


@pytest.fixture
def table(tmp_path: Path) -> Rates:
    """Ten requests a minute for each address."""
    return Rates(Settings(home=tmp_path, gateway_rate_address=10))


def test_a_million_addresses_do_not_fill_the_memory(table: Rates, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is one too many shares a budget with the others; who was there before has his own, and so has every token."""
    monkeypatch.setattr(rates, "KNOWN_MAX", 5)
    assert table.spend(ADDRESS, "10.0.0.1") == 0
    refused = [number for number in range(100) if table.spend(ADDRESS, f"10.1.0.{number}")]
    assert refused == list(range(14, 100))
    assert table.known == 6
    assert table.spend(ADDRESS, "10.0.0.1") == 0
    assert table.spend(TOKEN, "1f4c6b2a9d03") == 0
    assert table.spend(FAILURES, "10.9.9.9") == 0


def test_who_has_been_quiet_is_forgotten(table: Rates, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scan of last week costs nothing today."""
    for number in range(50):
        table.spend(ADDRESS, f"10.1.0.{number}")
    for key in table._storage.events:
        table._storage.events[key] = []  # as the library does after a minute
    monkeypatch.setattr(rates, "FORGET_EVERY_S", 0.0)
    table.spend(ADDRESS, "10.0.0.1")
    assert table.known == 1
