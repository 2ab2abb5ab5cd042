"""All files of the monitoring, rendered from the thresholds."""

from __future__ import annotations

from services.cli.monitoring.machine_rules import machine_rules
from services.cli.monitoring.money_rules import money_rules
from services.cli.monitoring.recording import recorded
from services.cli.monitoring.routing import alertmanager_config
from services.cli.monitoring.rules import Group, file_of
from services.cli.monitoring.scraping import in_containers
from services.cli.monitoring.settings import AlertSettings


def groups(settings: AlertSettings) -> dict[str, list[Group]]:
    """All rules by the file they stand in."""
    return {
        "recorded.yml": [recorded(settings)],
        "money.yml": money_rules(settings),
        "machines.yml": machine_rules(settings),
    }


def rule_files(settings: AlertSettings) -> dict[str, str]:
    """The texts of the files of rules, by name."""
    return {name: file_of(each, settings.alert_runbooks_url) for name, each in groups(settings).items()}


def deployed(settings: AlertSettings) -> dict[str, str]:
    """Everything under deploy/ that is for containers, by its path there."""
    return {
        **{f"prometheus/rules/{name}": text for name, text in rule_files(settings).items()},
        "prometheus/prometheus.yml": in_containers(),
        "alertmanager/alertmanager.yml": alertmanager_config(settings),
    }
