"""Prometheus' own configuration: whom it scrapes, which rules it reads, whom it tells.

Every target has its service's name as `instance`, whatever its address: rules and dashboards name services, not machines.
"""

from __future__ import annotations

from collections.abc import Mapping

from libs.runtime.registry import SERVICES
from services.cli.deploy.fleet import HTTP_PORT
from services.cli.monitoring.rules import WRITTEN

INTERVAL_S = 5
WHERE_WANTED = ("telegram-bot",)
"""Runs only where it is configured: found by its name, and missed by nobody where the name leads nowhere."""
BESIDE = {
    "nats": "nats-exporter:7777",
    "postgres": "postgres-exporter:9187",
    "loki": "loki:3100",
    "alloy": "alloy:12345",
    "tempo": "tempo:3200",
    "grafana": "grafana:3000",
}
"""What else counts something in a deployment, each a job of its own: no rule of ours is about them."""
CONTAINERS = tuple(name for name in SERVICES if name not in ("cli", *WHERE_WANTED))

_BY_NAME = """\
    dns_sd_configs:
      - {{names: [{names}], type: A, port: {port}, refresh_interval: 30s}}
    relabel_configs:
      - {{source_labels: [__meta_dns_name], regex: (.+), target_label: instance}}
"""
_TEXT = """\
{written}# {why}
global:
  scrape_interval: {interval_s}s
  scrape_timeout: {timeout_s}s
  evaluation_interval: {interval_s}s
rule_files:
  - {rules}
alerting:
  alertmanagers:
    - static_configs:
        - targets: ["{alertmanager}"]
scrape_configs:
  - job_name: bulkhead
    static_configs:
{targets}{by_name}  - job_name: prometheus
    static_configs:
      - targets: ["{itself}"]
{beside}"""


def in_containers() -> str:
    """For containers that find each other by name."""
    pages = {name: f"{name}:{HTTP_PORT}" for name in CONTAINERS}
    why = "For containers: every service is found by its name."
    by_name = _BY_NAME.format(names=", ".join(WHERE_WANTED), port=HTTP_PORT)
    return _config(pages, "/etc/prometheus/rules/*.yml", "alertmanager:9093", "localhost:9090", why, by_name, BESIDE)


def on_this_machine(pages: Mapping[str, str], rules: str, *, alertmanager: str, itself: str) -> str:
    """For a native stack: `pages` are the addresses of its services by name, `rules` a glob."""
    return _config(pages, rules, alertmanager, itself, "For a stack on this machine.")


def _config(
    pages: Mapping[str, str],
    rules: str,
    alertmanager: str,
    itself: str,
    why: str,
    by_name: str = "",
    beside: Mapping[str, str] | None = None,
) -> str:
    targets = "".join(
        f'      - targets: ["{address}"]\n        labels: {{instance: {name}}}\n' for name, address in pages.items()
    )
    others = "".join(
        f'  - job_name: {job}\n    static_configs:\n      - targets: ["{address}"]\n'
        for job, address in (beside or {}).items()
    )
    return _TEXT.format(
        written=WRITTEN,
        why=why,
        interval_s=INTERVAL_S,
        timeout_s=INTERVAL_S - 1,
        rules=rules,
        alertmanager=alertmanager,
        targets=targets,
        by_name=by_name,
        itself=itself,
        beside=others,
    )
