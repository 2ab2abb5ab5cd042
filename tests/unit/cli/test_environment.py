"""What `bulkhead up` is told from outside: `.env`, names nobody knows, and settings a child would refuse."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from libs.runtime.config_file import CONFIG_VARIABLE
from libs.runtime.profiles import CONSERVATIVE
from services.cli.child import ChildRefused
from services.cli.child_settings import load_child, refuse_bad_settings
from services.cli.environment import known_variables, read_dotenv, unknown_settings
from services.cli.exit_codes import CONFIG, Failure
from services.cli.stack import StackSettings, service_specs, sim_spec

ROOT = Path(__file__).parents[3]


def test_a_file_beside_adds_to_the_environment_and_never_overrules_it(tmp_path: Path) -> None:
    """What was set by hand, for once, wins."""
    file = tmp_path / ".env"
    environment = {"BULKHEAD_SIM_SEED": "1"}
    assert not read_dotenv(file, environment)
    file.write_text("# mine\nBULKHEAD_SIM_SEED=2\nexport BULKHEAD_SIM_SPEED='5'\nNOTHING\n")
    assert read_dotenv(file, environment)
    assert environment == {"BULKHEAD_SIM_SEED": "1", "BULKHEAD_SIM_SPEED": "5"}


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """Half of it may be what keeps the risk small."""
    (tmp_path / ".env").write_bytes(b"BULKHEAD_BOOK=\xff\xfe")
    with pytest.raises(Failure, match=r"\.env cannot be read") as refused:
        read_dotenv(tmp_path / ".env", {})
    assert refused.value.code == CONFIG


def test_a_misspelt_setting_is_told_with_the_nearest_name() -> None:
    """It would be ignored in silence otherwise; other programs' variables are none of ours."""
    names = ["PATH", "BULKHEAD_TREND_TIMEFRAM", "BULKHEAD_TREND_TIMEFRAMES", "BULKHEAD_QQQQQQQQQQQQQQ", "BULKHEAD_HOME"]
    assert unknown_settings(names) == [
        "BULKHEAD_QQQQQQQQQQQQQQ is not a setting; nobody reads it",
        "BULKHEAD_TREND_TIMEFRAM is not a setting; did you mean BULKHEAD_TREND_TIMEFRAMES?",
    ]


def test_everything_the_stack_tells_its_children_is_a_setting(tmp_path: Path) -> None:
    """No variable of ours is misspelt."""
    settings = StackSettings(home=tmp_path)
    told = {name for spec in [sim_spec(settings, {}), *service_specs(settings, {})] for name in spec.env}
    assert {name for name in told if name.startswith("BULKHEAD_")} <= known_variables()
    assert "DATABASE_URL" in known_variables()


def test_settings_a_child_would_refuse_are_refused_before_it_runs(tmp_path: Path) -> None:
    """In its words; what eight of them would say is said once."""
    settings = StackSettings(home=tmp_path)
    bad = {"BULKHEAD_RISK_PRICE_AGE_MS_MAX": "soon", "BULKHEAD_LOG_LEVEL": "chatty"}
    before = dict(os.environ)
    refuse_bad_settings([sim_spec(settings, {}), *service_specs(settings, {})])
    with pytest.raises(ChildRefused) as refused:
        refuse_bad_settings([sim_spec(settings, bad), *service_specs(settings, bad)])
    text = str(refused.value)
    assert text.startswith("bulkhead refuses to start, bad settings:\n")
    assert "BULKHEAD_RISK_PRICE_AGE_MS_MAX: got 'soon'" in text
    assert text.count("BULKHEAD_LOG_LEVEL: got 'chatty'") == 1
    assert dict(os.environ) == before


def test_a_stack_whose_settings_are_dangerous_together_is_refused(tmp_path: Path) -> None:
    """Each of them alone is well."""
    settings = StackSettings(home=tmp_path)
    told = {"BULKHEAD_EXEC_NOTIONAL_MAX": "40000"}
    with pytest.raises(
        ChildRefused, match="BULKHEAD_RISK_ORDER_VALUE_MAX: got '50000'; want it at most BULKHEAD_EXEC_NOT"
    ):
        refuse_bad_settings([sim_spec(settings, told), *service_specs(settings, told)])
    told = {"BULKHEAD_RISK_DAILY_LOSS_MAX": "0.06"}
    (question,) = refuse_bad_settings([sim_spec(settings, told), *service_specs(settings, told)])
    assert "BULKHEAD_RISK_DAILY_LOSS_MAX: got '0.06'; more than 0.05 is much" in question


def test_an_agent_that_is_heard_and_does_not_run_is_a_question(tmp_path: Path) -> None:
    """By default an entry waits for everybody who is named, so a misspelt name is a stack that never buys."""
    settings, told = StackSettings(home=tmp_path), {"BULKHEAD_PORTFOLIO_AGENTS": "trend,trnd,levels"}
    (question,) = refuse_bad_settings([sim_spec(settings, told), *service_specs(settings, told)])
    assert question.startswith("BULKHEAD_PORTFOLIO_AGENTS: got 'trend,trnd,levels'; no trnd, levels with an opinion")


def test_what_is_ours_by_default_is_in_no_question(tmp_path: Path) -> None:
    """A newcomer's first line is no warning."""
    settings = StackSettings(home=tmp_path)
    assert refuse_bad_settings([sim_spec(settings, {}), *service_specs(settings, {})]) == []
    with_model = {"BULKHEAD_LLM_URL": "http://127.0.0.1:1/v1", "BULKHEAD_LLM_MODEL": "sim"}
    assert refuse_bad_settings([sim_spec(settings, with_model), *service_specs(settings, with_model)]) == []
    careful = {"BULKHEAD_PROFILE": "conservative"}
    assert refuse_bad_settings([sim_spec(settings, careful), *service_specs(settings, careful)]) == []


def test_every_child_reads_the_same_file(tmp_path: Path) -> None:
    """It is handed on by its full name, and wins over what is only our taste, as does a profile that it names."""
    file = tmp_path / "book.toml"
    file.write_text('profile = "conservative"\n[trend]\ntimeframes = "1h"\n[portfolio]\nsignal_age_ms_max = 900000\n')
    settings, told = StackSettings(home=tmp_path), {CONFIG_VARIABLE: str(file)}
    specs = [sim_spec(settings, told), *service_specs(settings, told)]
    assert {spec.env[CONFIG_VARIABLE] for spec in specs} == {str(file)}
    loaded = {spec.name: load_child(spec) for spec in specs}
    assert loaded["agent-trend"].trend_timeframes == ("1h",)
    assert loaded["agent-levels"].levels_timeframe == "1m", "nobody says otherwise"
    assert loaded["risk-gate"].risk_cooldown_ms == CONSERVATIVE.risk_cooldown_ms
    assert loaded["risk-gate"].risk_price_age_ms_max == 20_000
    assert loaded["portfolio"].portfolio_risk_per_trade == CONSERVATIVE.portfolio_risk_per_trade
    assert loaded["order-executor"].exec_losses_in_a_row_max == CONSERVATIVE.exec_losses_in_a_row_max


@pytest.mark.parametrize(
    ("given", "told"),
    [((), ""), (("SPEED=5",), 'BULKHEAD_SIM_SPEED="5"'), (("DATA=frames",), f'BULKHEAD_SIM_DATA="{ROOT}/frames"')],
)
def test_make_tells_only_what_it_was_told(given: tuple[str, ...], told: str) -> None:
    """What the environment says about the market is not overwritten with nothing."""
    command = ["make", "--no-print-directory", "-n", "-o", "install", "dev", *given]
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    line = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, env=outside).stdout
    assert " ".join(line.split()) == f"{told} exec .venv/bin/python deploy/compose/dev.py".strip()
