"""Which test pins which anomaly: `alert:<code>`, or a kind of its own; tests as pytest names them.

An alert is pinned by the test that makes it fire (tests/fires.py), or by one that plays the incident behind it.
"""

from __future__ import annotations

from tests.fires import FIRES

PINNED: dict[str, str] = {
    **{f"alert:{code}": test for code, test in FIRES.items()},
    "alert:FEED_DOWN": "tests/e2e/test_feed_failover.py::test_another_venue_stands_in_until_home_returns",
    "alert:FEED_FAILOVER": "tests/e2e/test_feed_failover.py::test_another_venue_stands_in_until_home_returns",
    "alert:FEED_POLLING": "tests/e2e/test_feed_failover.py::test_without_any_sockets_home_is_polled",
    "alert:FEED_STALE": "tests/e2e/test_feed_failover.py::test_home_is_frozen",
    "alert:MODEL_NOT_CONFIGURED": "tests/unit/signal_agents/llm/test_machine.py::test_what_an_operator_should_know_is_said_once",
    "alert:PROJECTION_DOWN": "tests/e2e/ledger/test_ledger_follower.py::test_a_locked_sqlite_file_opens_the_breaker_until_it_is_free",
    "alert:PROTECTION_IMPROVISED": "tests/chaos/test_bus_outages.py::test_an_entry_that_fills_while_the_bus_is_down_is_protected_meanwhile",
}
