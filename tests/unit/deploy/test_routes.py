"""Who is told of what: the routes of Alertmanager, what silences what, and how a message reads."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from services.cli.deploy import fleet
from services.cli.monitoring.routing import MESSAGE, alertmanager_config
from services.cli.monitoring.rules import VITAL
from services.cli.monitoring.settings import AlertSettings
from tests.unit.deploy.contract import SETTINGS
from tests.unit.deploy.test_alert_rules import ALERTS

CONFIG = Path(__file__).parents[3] / "deploy" / "alertmanager" / "alertmanager.yml"
AMTOOL = shutil.which("amtool")
OLDEST = (0, 26)
"""Since then a bot's token and a webhook's address may be files."""


def version_of(amtool: str) -> tuple[int, int]:
    done = subprocess.run([amtool, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"version (\d+)\.(\d+)", done.stdout + done.stderr)
    return (int(found[1]), int(found[2])) if found else (0, 0)


needs_amtool = pytest.mark.skipif(
    AMTOOL is None or version_of(AMTOOL) < OLDEST, reason="no amtool of 0.26 or later is installed here"
)


def amtool(*arguments: str) -> str:
    done = subprocess.run([str(AMTOOL), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


@needs_amtool
def test_amtool_takes_the_configuration() -> None:
    """Amtool takes the configuration."""
    assert "SUCCESS" in amtool("check-config", str(CONFIG))


@needs_amtool
@pytest.mark.parametrize(
    ("receiver", "labels"),
    [
        ("dead-mans-switch", "alertname=Watchdog severity=watchdog"),
        ("kill-switch", "alertname=TradingHalted severity=page"),
        ("page", "alertname=StopUncovered severity=page instrument=BTC-USDT"),
        ("page", "alertname=ServiceDown severity=page instance=order-executor"),
        ("ticket", "alertname=ServiceDown severity=ticket instance=agent-trend"),
        ("ticket", "alertname=BackupOld severity=ticket"),
        ("ticket", "alertname=SomebodyElses"),
    ],
)
def test_an_alert_goes_to_whom_it_concerns(receiver: str, labels: str) -> None:
    """What nobody has thought of is a ticket, not nothing."""
    amtool("config", "routes", "test", f"--config.file={CONFIG}", f"--verify.receivers={receiver}", *labels.split())


@needs_amtool
@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: f"{rule.alert}-{rule.severity}")
def test_every_rule_of_ours_has_a_receiver_as_grave_as_it_is(rule) -> None:
    """A page reaches people at once, wherever else it goes."""
    wanted = {"Watchdog": "dead-mans-switch", "TradingHalted": "kill-switch"}.get(rule.alert, rule.severity)
    labels = [f"{name}={value}" for name, value in {"severity": rule.severity, **rule.labels}.items()]
    found = amtool("config", "routes", "test", f"--config.file={CONFIG}", f"alertname={rule.alert}", *labels)
    assert found == wanted


def inhibitions() -> list[tuple[dict[str, str], dict[str, str]]]:
    """Causes and their symptoms, as matchers by label."""
    text = CONFIG.read_text()
    pairs = re.findall(r"source_matchers: \[(.*)\]\n\s+target_matchers: \[(.*)\]", text)
    return [(dict(_matchers(cause)), dict(_matchers(symptoms))) for cause, symptoms in pairs]


def _matchers(text: str) -> list[tuple[str, str]]:
    return re.findall(r"'(\w+) =~? \"([^\"]*)\"'", text)


def test_what_is_silenced_and_what_silences_it_are_alerts_that_there_are() -> None:
    """A misspelt cause silences nothing, and a misspelt symptom is said."""
    names = {rule.alert for rule in ALERTS}
    assert len(inhibitions()) > 8
    for cause, symptoms in inhibitions():
        for matchers in (cause, symptoms):
            assert set(matchers["alertname"].split("|")) <= names, matchers
            assert set(matchers.get("instance", "market-feed").split("|")) <= set(VITAL.split("|"))


def test_nothing_silences_a_page_about_money() -> None:
    """A stop that is missing is said, whatever else is down."""
    for _, symptoms in inhibitions():
        assert not {"StopUncovered", "OrderUnknown", "TradingHalted", "BooksDiffer", "DrawdownHalt", "Watchdog"} & set(
            symptoms["alertname"].split("|")
        )


def test_every_word_of_an_alert_is_escaped_in_a_message() -> None:
    """A `<` in a label would make Telegram refuse the whole message, and an instrument's name is somebody else's word."""
    shown = re.findall(r"{{ (\.[A-Za-z.]+)(.*?) }}", MESSAGE)
    assert len(shown) > 3
    assert [name for name, rest in shown if not rest.endswith("| html")] == []


def test_secrets_are_files() -> None:
    """Neither the bot's token nor the gateway's nor the switch's address stands in the configuration."""
    text = alertmanager_config(AlertSettings.model_construct(alert_telegram_chat=1001), secrets="/s")
    assert text.count("bot_token_file: /s/telegram_token") == 3
    assert text.count("credentials_file: /s/alerts_token") == 3
    assert "url_file: /s/watchdog_url" in text
    assert "chat_id: 1001" in text
    assert not re.search(r"bot_token:|credentials:|password", text)
    assert json.dumps(MESSAGE) in alertmanager_config(SETTINGS)


@pytest.mark.parametrize(("gateway", "proves"), [("https://gateway:8080", True), ("http://127.0.0.1:8080", False)])
def test_the_gateway_proves_itself_before_it_is_given_a_token(gateway: str, proves: bool) -> None:
    """In containers the gateway speaks TLS with a certificate of the deployment's own authority; on one machine it speaks to itself."""
    receivers = yaml.safe_load(alertmanager_config(AlertSettings(), gateway=gateway, secrets="/s"))["receivers"]
    hooks = [each for receiver in receivers for each in receiver.get("webhook_configs", ()) if "url" in each]
    assert {each["url"] for each in hooks} == {f"{gateway}/api/v1/webhooks/alertmanager"}
    assert {str(each["http_config"].get("tls_config")) for each in hooks} == {
        str({"ca_file": "/s/authority.pem"} if proves else None)
    }


def test_what_is_deployed_asks_the_gateway_by_tls() -> None:
    """The file that containers mount names the gateway as the fleet runs it."""
    assert f"https://gateway:{fleet.GATEWAY_PORT}/" in CONFIG.read_text()
