"""Dangerous settings are refused, questionable ones are told with the reason: each limit is met, then passed."""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from libs.runtime.config_names import PLACES
from libs.runtime.setting_limits import CEILINGS, ORDERS, Ceiling, Order
from libs.runtime.setting_pairs import MATCHES
from libs.runtime.setting_rules import dangers_in, judged, questions_in
from libs.runtime.settings import SettingsError, load_settings, settings_in_question
from services.signal_agents.portfolio.settings import Settings as PortfolioSettings
from services.signal_agents.trend.settings import Settings as TrendSettings

D = Decimal
WALL_TIME = {"BULKHEAD_CLOCK_URL": ""}
LIVE = {
    "BULKHEAD_FEED_VENUE_URL": "https://api.binance.com",
    "BULKHEAD_EXEC_VENUE_URL": "https://api.binance.com",
    "BULKHEAD_EXEC_VENUE": "binance",
}
PAPER = {
    "BULKHEAD_SIM_FOLLOW_URL": "https://a",
    "BULKHEAD_FEED_VENUE_URL": "https://a/",
    "BULKHEAD_EXEC_VENUE_URL": "http://sim",
    "BULKHEAD_EXEC_VENUE": "binance",
    "BULKHEAD_CLOCK_URL": "",
}
MODEL = {"BULKHEAD_LLM_URL": "http://127.0.0.1:1/v1"}


def more(value: Decimal) -> Decimal:
    """A little more."""
    return value + (D(1) if value == value.to_integral() and value > 1 else D("0.0001"))


def level(values: dict[str, Any]) -> str:
    """The worst that is said."""
    return next((each.level for each in judged(values)), "")


@pytest.mark.parametrize("rule", CEILINGS, ids=lambda rule: rule.variable)
def test_a_number_may_meet_its_limit_and_not_pass_it(rule: Ceiling) -> None:
    """Nothing at the first limit, a question above it; a question at the second, a danger above that."""
    assert rule.asked_above is not None
    assert level({rule.variable: rule.asked_above} | WALL_TIME) == ""
    assert level({rule.variable: more(rule.asked_above)} | WALL_TIME) == "question"
    if rule.refused_above is not None:
        assert level({rule.variable: rule.refused_above} | WALL_TIME) == "question"
        assert level({rule.variable: more(rule.refused_above)} | WALL_TIME) == "danger"


@pytest.mark.parametrize("rule", ORDERS, ids=lambda rule: f"{rule.low}-{rule.high}")
def test_a_number_may_not_pass_another(rule: Order) -> None:
    """At the edge, and just beyond it; a strict rule speaks at the edge already."""
    high = D("0.01") if rule.high.endswith("FRACTION_MAX") else D(1000)
    edge = high / rule.low_unit

    def said(low: Decimal) -> bool:
        found = judged({rule.low: low, rule.high: high} | MODEL)
        return any(each.level == rule.level and rule.why in each.text for each in found)

    assert said(edge) == rule.is_strict
    assert said(edge + D("0.000001"))
    assert not said(edge - D("0.000001"))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"BULKHEAD_RISK_VENUE": "kraken", "BULKHEAD_EXEC_VENUE": "binance"}, "danger"),
        ({"BULKHEAD_RISK_VENUE": "kraken", "BULKHEAD_EXEC_VENUE": "kraken"}, ""),
        ({"BULKHEAD_RISK_VENUE": "", "BULKHEAD_EXEC_VENUE": "kraken"}, ""),
        ({"BULKHEAD_FEED_VENUES": "binance,kraken", "BULKHEAD_EXEC_VENUE": "kraken"}, "danger"),
        ({"BULKHEAD_FEED_VENUES": "kraken,binance", "BULKHEAD_EXEC_VENUE": "kraken"}, ""),
        ({"BULKHEAD_FEED_VENUES": "binance", "BULKHEAD_RISK_VENUE": "kraken"}, "danger"),
        ({"BULKHEAD_FEED_VENUE_URL": "https://a", "BULKHEAD_EXEC_VENUE_URL": "http://sim"}, "danger"),
        ({"BULKHEAD_FEED_VENUE_URL": "https://a", "BULKHEAD_EXEC_VENUE_URL": "https://b"}, ""),
        (LIVE, ""),
        (LIVE | {"BULKHEAD_FEED_VENUE_URL": "https://data-api.binance.vision/"}, ""),
        (LIVE | {"BULKHEAD_FEED_VENUE_URL": "https://testnet.binance.vision"}, "danger"),
        (LIVE | {"BULKHEAD_EXEC_VENUE_URL": "https://testnet.binance.vision"}, "danger"),
        (
            LIVE
            | dict.fromkeys(("BULKHEAD_FEED_VENUE_URL", "BULKHEAD_EXEC_VENUE_URL"), "https://testnet.binance.vision"),
            "",
        ),
        (LIVE | {"BULKHEAD_EXEC_VENUE": "kraken", "BULKHEAD_EXEC_VENUE_URL": "https://api.kraken.com"}, ""),
        ({"BULKHEAD_EXEC_VENUE_URL": "https://b", "BULKHEAD_CLOCK_URL": "ws://sim/clock"}, "danger"),
        ({"BULKHEAD_EXEC_VENUE_URL": "http://sim", "BULKHEAD_CLOCK_URL": "ws://sim/clock"}, ""),
        (PAPER, ""),
        (PAPER | {"BULKHEAD_FEED_VENUE_URL": "https://b"}, "danger"),
        (PAPER | {"BULKHEAD_EXEC_VENUE_URL": "https://a"}, "danger"),
        (PAPER | {"BULKHEAD_EXEC_VENUE": "kraken"}, "danger"),
        (PAPER | {"BULKHEAD_CLOCK_URL": "ws://sim/clock"}, "danger"),
        (PAPER | {"BULKHEAD_SIM_FOLLOW_URL": ""}, "danger"),
        ({"BULKHEAD_PORTFOLIO_SIGNAL_AGE_MS_MAX": D(60_001), "BULKHEAD_TREND_TIMEFRAMES": "1m"}, "question"),
        ({"BULKHEAD_PORTFOLIO_SIGNAL_AGE_MS_MAX": D(60_000), "BULKHEAD_TREND_TIMEFRAMES": "1m"}, ""),
    ],
)
def test_words_that_must_agree(values: dict[str, Any], expected: str) -> None:
    """Venues of one book, one world, one time."""
    assert level(values) == expected


def test_ages_may_be_wide_where_time_is_simulated() -> None:
    """Venue time runs faster than our processes do; who does not know which time others follow, as `bulkhead up`, says nothing."""
    old = {"BULKHEAD_RISK_PRICE_AGE_MS_MAX": D(600_000)}
    assert level(old | WALL_TIME) == "danger"
    assert level(old | {"BULKHEAD_CLOCK_URL": "ws://sim/clock"}) == ""
    assert level(old) == ""


def test_nothing_is_said_of_a_model_that_nobody_asks() -> None:
    """Without a URL its deadline does not matter."""
    late = {"BULKHEAD_LLM_DEADLINE_MS": D(2), "BULKHEAD_PORTFOLIO_SIGNAL_AGE_MS_MAX": D(1)}
    assert level(late) == ""
    assert level(late | MODEL) == "question"


def test_a_rule_is_silent_until_it_knows_everything_it_needs() -> None:
    """A service alone does not guess at the others' settings."""
    for rule in ORDERS:
        assert [each for each in judged({rule.low: D(10**9)}) if rule.high in each.variables] == []
    for match in MATCHES:
        assert judged({match.variables[0]: "something"}) == []


def test_every_rule_is_about_settings_that_exist() -> None:
    """A renamed setting would take its rule with it in silence."""
    named = {rule.variable for rule in CEILINGS} | {name for rule in ORDERS for name in (rule.low, rule.high)}
    named |= {name for rule in MATCHES for name in rule.variables}
    assert sorted(named - set(PLACES)) == []


# --- at the start of one service ------------------------------------------------------------------------------------


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """No settings but the test's own."""
    for name in [name for name in os.environ if name.upper().startswith("BULKHEAD_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return monkeypatch


def test_a_service_alone_refuses_what_is_dangerous_in_itself(alone: pytest.MonkeyPatch) -> None:
    """It does not need the others for that; what is only much, it tells."""
    alone.setenv("BULKHEAD_PORTFOLIO_POSITION_PCT_MAX", "50.5")
    with pytest.raises(
        SettingsError, match=r"BULKHEAD_PORTFOLIO_POSITION_PCT_MAX: got '50.5'; more than 50 is refused"
    ):
        load_settings(PortfolioSettings)
    alone.setenv("BULKHEAD_PORTFOLIO_POSITION_PCT_MAX", "25.5")
    (question,) = settings_in_question(load_settings(PortfolioSettings))
    assert "more than 25 is much: one gap" in question


def test_a_service_alone_sees_what_the_file_says_of_others(alone: pytest.MonkeyPatch) -> None:
    """The portfolio refuses a limit that the gate's line in the same file makes pointless, and says where it stands."""
    Path("bulkhead.toml").write_text("[risk]\nposition_fraction_max = 0.10")
    with pytest.raises(
        SettingsError, match=r"the gate would deny every full-sized wish \(bulkhead.toml: \[risk\] position"
    ):
        load_settings(PortfolioSettings)
    assert load_settings(TrendSettings).trend_timeframes == ("15m", "1h", "4h"), (
        "it is none of the trend agent's business"
    )
    Path("bulkhead.toml").write_text("[risk]\nposition_fraction_max = 0.10\n[portfolio]\nposition_pct_max = 8")
    assert load_settings(PortfolioSettings).portfolio_position_pct_max == 8


def test_verdicts_come_with_dangers_first() -> None:
    """Both kinds, told apart."""
    found = judged({"BULKHEAD_RISK_DRAWDOWN_HALT": D("0.31"), "BULKHEAD_RISK_DAILY_LOSS_MAX": D("0.06")})
    assert [each.level for each in found] == ["danger", "question"]
    assert (len(dangers_in(found)), len(questions_in(found))) == (1, 1)
