"""bulkhead.toml: read like the environment, ranked below it, and refused where it cannot be meant."""

from __future__ import annotations

import os
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from libs.runtime.config_file import CONFIG_VARIABLE, read_config
from libs.runtime.config_names import KEYS, PLACES, variable_at
from libs.runtime.redaction import forget_secrets
from libs.runtime.settings import SettingsError, load_settings
from services.ledger.settings import Settings as LedgerSettings
from services.market_feed.settings import Settings as FeedSettings
from services.signal_agents.portfolio.settings import Settings as PortfolioSettings
from services.signal_agents.trend.settings import Settings as TrendSettings

SECRET = "sk-live-0123456789-abcdef"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for name in list(os.environ):
        if name.upper().startswith("BULKHEAD_") or name == "DATABASE_URL":
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    yield
    forget_secrets()


def refusal(text: str, kind: type = TrendSettings) -> list[str]:
    """What a service says of a file."""
    Path("bulkhead.toml").write_text(text)
    with pytest.raises(SettingsError) as refused:
        load_settings(kind)
    return str(refused.value).splitlines()


def test_a_table_and_a_key_are_a_variable() -> None:
    """Every kind of value arrives as it would from the environment."""
    Path("bulkhead.toml").write_text("""
log_level = "debug"
http_port = 8080
instruments = ["BTC-USDT", "SOL-USDT"]
[feed]
venues = ["kraken", "binance"]
spread_max = 0.05
venue_url = "http://127.0.0.1:9"
[ledger]
equity_interval_s = 2
[portfolio]
risk_per_trade = 0.001
""")
    feed = load_settings(FeedSettings)
    assert (feed.log_level, feed.http_port, feed.instruments) == ("debug", 8080, ("BTC-USDT", "SOL-USDT"))
    assert (feed.feed_venues, feed.feed_spread_max, feed.feed_venue_url) == (
        ("kraken", "binance"),
        0.05,
        "http://127.0.0.1:9",
    )
    assert load_settings(LedgerSettings).equity_interval_s == 2.0
    assert load_settings(PortfolioSettings).portfolio_risk_per_trade == Decimal("0.001")


def test_the_environment_wins_the_file_beats_the_profile_and_the_profile_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One setting, told by more and more."""

    def risked() -> Decimal:
        return load_settings(PortfolioSettings).portfolio_risk_per_trade

    assert risked() == Decimal("0.005")
    Path("bulkhead.toml").write_text('profile = "conservative"')
    assert risked() == Decimal("0.0025")
    Path("bulkhead.toml").write_text('profile = "conservative"\n[portfolio]\nrisk_per_trade = 0.003')
    assert risked() == Decimal("0.003")
    monkeypatch.setenv("BULKHEAD_PORTFOLIO_RISK_PER_TRADE", "0.004")
    assert risked() == Decimal("0.004")
    monkeypatch.setenv("BULKHEAD_PORTFOLIO_RISK_PER_TRADE", "")
    assert risked() == Decimal("0.003"), "an empty variable says nothing"


def test_a_variable_by_another_name_wins_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """BULKHEAD_VENUE_URL is for whoever has no address of its own; in the environment it beats the file's own."""
    Path("bulkhead.toml").write_text('venue_url = "http://a:1"')
    assert load_settings(FeedSettings).feed_venue_url == "http://a:1"
    Path("bulkhead.toml").write_text('venue_url = "http://a:1"\n[feed]\nvenue_url = "http://b:1"')
    assert load_settings(FeedSettings).feed_venue_url == "http://b:1"
    monkeypatch.setenv("BULKHEAD_VENUE_URL", "http://c:1")
    assert load_settings(FeedSettings).feed_venue_url == "http://c:1"


def test_the_profile_may_be_named_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """For once, over the file."""
    Path("bulkhead.toml").write_text('profile = "balanced"')
    monkeypatch.setenv("BULKHEAD_PROFILE", "conservative")
    assert load_settings(PortfolioSettings).portfolio_position_pct_max == 8


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "[trend]\nema_fast_span = 1",
            "bulkhead.toml: [trend] ema_fast_span (BULKHEAD_TREND_EMA_FAST_SPAN): got '1';"
            " Input should be greater than or equal to 2 [span of the fast EMA, bars]",
        ),
        (
            "[trend]\nema_fast_spam = 20",
            "bulkhead.toml: [trend] ema_fast_spam: got '20'; there is no such setting;"
            " did you mean [trend] ema_fast_span?",
        ),
        (
            "[risk]\ndrawdown_hallt = 0.1",
            "bulkhead.toml: [risk] drawdown_hallt: got '0.1'; there is no such setting;"
            " did you mean [risk] drawdown_halt?",
        ),
        ("[tredn]\nx = 1", "bulkhead.toml: [tredn]: there is no such table; did you mean [trend]?"),
        ("[zzzzzz]\n", "bulkhead.toml: [zzzzzz]: there is no such table; want [up], "),
        (
            "log_levle = 'info'",
            "bulkhead.toml: log_levle: got 'info'; there is no such setting; did you mean log_level?",
        ),
        (
            "risk_drawdown_halt = 0.1",
            "bulkhead.toml: risk_drawdown_halt: got '0.1'; there is no such setting; did you mean [risk] drawdown_halt?",
        ),
        ("[trend]\ntimeframes = { a = 1 }", "bulkhead.toml: [trend] timeframes: got \"{'a': 1}\"; want one value"),
        ("[trend]\ntimeframes = [[1]]", "bulkhead.toml: [trend] timeframes: got '[[1]]'; want one value"),
        ("log_level =", "bulkhead.toml: is not TOML: Invalid value (at end of document)"),
        (
            "profile = 'reckless'",
            "bulkhead.toml: profile (BULKHEAD_PROFILE): got 'reckless'; Input should be 'balanced'",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_was_probably_meant(text: str, line: str) -> None:
    """File, table, key, value and wish; also in a table of another service, which this one does not read."""
    (said,) = refusal(text)
    assert said.startswith(line)


def test_everything_wrong_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """File and environment together."""
    monkeypatch.setenv("BULKHEAD_TREND_WILDER_N", "1")
    said = refusal("loglevel = 'info'\n[trend]\nadx_threshold = 'high'\n[llm]\nurrl = ''")
    assert [line.split(": got")[0] for line in said] == [
        "bulkhead.toml: loglevel",
        "bulkhead.toml: [llm] urrl",
        "BULKHEAD_TREND_WILDER_N",
        "bulkhead.toml: [trend] adx_threshold (BULKHEAD_TREND_ADX_THRESHOLD)",
    ]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (f"[llm]\napi_key = '{SECRET}'", "BULKHEAD_LLM_API_KEY_FILE (here: [llm] api_key_file)"),
        (f"[exec]\napi_secret = '{SECRET}'", "BULKHEAD_EXEC_API_SECRET_FILE (here: [exec] api_secret_file)"),
        (f"[ledger]\ndatabase_url = '{SECRET}'", "BULKHEAD_DATABASE_URL_FILE (here: [ledger] database_url_file)"),
        (f"binance_api_key = '{SECRET}'", "BULKHEAD_EXEC_API_KEY_FILE (here: [exec] api_key_file)"),
        (f"[telegram]\ntoken = '{SECRET}'", "BULKHEAD_TELEGRAM_TOKEN_FILE"),
    ],
)
def test_a_secret_in_the_file_is_refused_unseen(text: str, wanted: str) -> None:
    """Wherever it stands, with the name of the setting that takes its file."""
    (said,) = refusal(text)
    assert said.startswith("bulkhead.toml: ")
    assert wanted in said
    assert SECRET not in said


def test_a_secret_in_the_wrong_place_is_not_shown_either() -> None:
    """A name that sounds like a secret hides its value, known or not."""
    said = "\n".join(refusal(f"api_kee = 1\n[llm]\napi_key_fil = '{SECRET}'\napi_key_file = '{SECRET}'"))
    assert SECRET not in said
    assert "did you mean [llm] api_key_file?" in said


def test_a_file_that_is_named_must_be_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without one the settings would be others than were meant; without a name the file is optional."""
    assert load_settings(TrendSettings).trend_timeframes == ("15m", "1h", "4h")
    other = tmp_path / "other.toml"
    monkeypatch.setenv(CONFIG_VARIABLE, str(other))
    with pytest.raises(SettingsError, match=r"BULKHEAD_CONFIG: got '.*other\.toml'; there is no such file"):
        load_settings(TrendSettings)
    other.write_text("[trend]\ntimeframes = '1h'")
    assert load_settings(TrendSettings).trend_timeframes == ("1h",)
    monkeypatch.setenv(CONFIG_VARIABLE, str(tmp_path))
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings(TrendSettings)


def test_what_is_no_text_and_what_is_no_file_of_settings_is_refused() -> None:
    """Never half of it."""
    Path("bulkhead.toml").write_bytes(b"log_level = '\xff'")
    assert read_config({}).problems[0].startswith("bulkhead.toml: is not TOML")
    Path("bulkhead.toml").write_bytes(b"#" * 2**20 + b"#")
    assert "is larger than" in read_config({}).problems[0]


def test_every_setting_has_one_place() -> None:
    """No two lines of the file mean the same variable."""
    places = [(table, key) for table, keys in KEYS.items() for key in keys]
    assert len({variable_at(*place) for place in places}) == len(places) == len(PLACES)


def test_the_example_is_the_default() -> None:
    """With every line of deploy/bulkhead.example.toml in force nothing changes, so copying it harms nobody."""
    example = (Path(__file__).parents[3] / "deploy" / "bulkhead.example.toml").read_text()
    before = [load_settings(kind) for kind in (FeedSettings, TrendSettings, PortfolioSettings, LedgerSettings)]
    Path("bulkhead.toml").write_text(
        "\n".join(line.removeprefix("#") for line in example.splitlines() if not line.startswith("# "))
    )
    assert read_config({}).problems == ()
    assert [load_settings(type(each)) for each in before] == before
