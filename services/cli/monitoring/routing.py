"""Alertmanager's configuration: who is told of what, and what is not said because its cause is.

    Watchdog ──▶ dead man's switch outside          page ──▶ Telegram at once, and the gateway: it stands in the log
    TradingHalted ──▶ the same, every 15 minutes     ticket ──▶ Telegram in groups, once in twelve hours, and the gateway

A cause silences its symptoms as long as it lasts. Secrets are files: the bot's token, the gateway's token of scope `alerts`, the switch's URL.
"""

from __future__ import annotations

import json

from services.cli.monitoring.rules import WRITTEN
from services.cli.monitoring.settings import AlertSettings

SECRETS = "/run/secrets"
TELEGRAM_API = "https://api.telegram.org"
MESSAGE = (
    '{{ if eq .Status "firing" }}<b>{{ .CommonLabels.severity | toUpper | html }}</b>{{ else }}<b>OVER</b>{{ end }}'
    "{{ range .Alerts }}\n<b>{{ .Labels.alertname | html }}</b> {{ .Annotations.summary | html }}"
    '{{ if eq .Status "firing" }}\n{{ .Annotations.action | html }}\n{{ .Annotations.runbook_url | html }}{{ end }}{{ end }}'
)
"""What people read; everything that a label or an annotation says is escaped, because Telegram parses HTML."""

_CAUSES: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    (
        "without the feed there are no prices and no bars",
        'alertname = "ServiceDown", instance = "market-feed"',
        'alertname =~ "PricesGone|PriceStale|FeedSilent|FeedPolling|BarsOverdue"',
        (),
    ),
    (
        "without any price each of them is old",
        'alertname =~ "PricesGone|PricesUnknown|FeedSilent"',
        'alertname =~ "PriceStale|BarsOverdue|FeedPolling"',
        (),
    ),
    (
        "without the gate nobody says how old prices are",
        'alertname = "ServiceDown", instance = "risk-gate"',
        'alertname = "PricesUnknown"',
        (),
    ),
    (
        "without the executor nobody leads",
        'alertname = "ServiceDown", instance = "order-executor"',
        'alertname =~ "ExecutorLeader|UserStreamDown"',
        (),
    ),
    (
        "a database that is not written is behind",
        'alertname = "DatabaseNotWritten"',
        'alertname = "DatabaseBehind"',
        (),
    ),
    (
        "a later stage says what the earlier one does",
        'alertname = "DrawdownHalt"',
        'alertname =~ "DrawdownHalfRisk|DrawdownNoEntries"',
        (),
    ),
    ("a later stage says what the earlier one does", 'alertname = "DrawdownNoEntries"', 'alertname = "DrawdownHalfRisk"', ()),
    ("a limit that is reached is near", 'alertname = "DailyLossReached"', 'alertname = "DailyLossNear"', ()),
    ("full is low", 'alertname = "BusStoreFull"', 'alertname = "BusStoreLow"', ()),
    ("full is low", 'alertname = "DiskFull"', 'alertname = "DiskLow"', ()),
    (
        "without room nothing is written by anybody",
        'alertname =~ "BusStoreFull|DiskFull"',
        'alertname =~ "OutboxStuck|ConsumerBehind|ConsumerFallsBehind|ServiceNotReady"',
        (),
    ),
    ("the page of a budget that burns says what its ticket does", 'alertname = "OrdersFailing", severity = "page"', 'alertname = "OrdersFailing", severity = "ticket"', ()),
    ("who does not lag behind more than so much falls behind", 'alertname = "ConsumerBehind"', 'alertname = "ConsumerFallsBehind"', ("service",)),
)  # fmt: skip


def alertmanager_config(
    settings: AlertSettings,
    *,
    gateway: str = "https://gateway:8080",
    secrets: str = SECRETS,
    telegram_api: str = TELEGRAM_API,
    group_wait_s: int = 5,
) -> str:
    """The text of alertmanager.yml. `gateway` is the API's root, where every alert becomes an event of the log; by https it has to prove itself by the deployment's
    own authority, because a token travels there."""
    proof = f", tls_config: {{ca_file: {secrets}/authority.pem}}" if gateway.startswith("https:") else ""
    webhook = f"""\
      - url: {gateway}/api/v1/webhooks/alertmanager
        max_alerts: 100
        http_config: {{authorization: {{credentials_file: {secrets}/alerts_token}}{proof}}}
"""
    telegram = f"""\
      - api_url: {telegram_api}
        bot_token_file: {secrets}/telegram_token
        chat_id: {settings.alert_telegram_chat or -1}
        parse_mode: HTML
        message: {json.dumps(MESSAGE)}
"""
    return (
        WRITTEN
        + f"""\
route:
  receiver: ticket
  group_by: [alertname, instance, instrument]
  group_wait: {group_wait_s}s
  group_interval: 1m
  repeat_interval: 12h
  routes:
    - matchers: ['alertname = "Watchdog"']
      receiver: dead-mans-switch
      group_wait: 0s
      group_interval: 1m
      repeat_interval: 1m
    # told at once, and again and again: nobody forgets a system that is halted
    - matchers: ['alertname = "TradingHalted"']
      receiver: kill-switch
      group_wait: 0s
      group_interval: 15s
      repeat_interval: 15m
    - matchers: ['severity = "page"']
      receiver: page
      group_interval: 15s
      repeat_interval: 1h
    - matchers: ['severity = "ticket"']
      receiver: ticket
      group_by: [alertname]
      group_wait: 30s
receivers:
  - name: page
    telegram_configs:
{telegram}    webhook_configs:
{webhook}  - name: ticket
    telegram_configs:
{telegram}    webhook_configs:
{webhook}  - name: kill-switch
    telegram_configs:
{telegram}    webhook_configs:
{webhook}  - name: dead-mans-switch
    webhook_configs:
      - url_file: {secrets}/watchdog_url
        send_resolved: false
inhibit_rules:
"""
        + "".join(_inhibition(*each) for each in _CAUSES)
    )


def _inhibition(why: str, cause: str, symptoms: str, equal: tuple[str, ...]) -> str:
    text = f"  # {why}\n  - source_matchers: {_matchers(cause)}\n    target_matchers: {_matchers(symptoms)}\n"
    return text + (f"    equal: [{', '.join(equal)}]\n" if equal else "")


def _matchers(text: str) -> str:
    return "[" + ", ".join(f"'{each}'" for each in text.split(", ")) + "]"
