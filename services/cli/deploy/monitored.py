"""What Prometheus and Alertmanager of a deployment are given: configuration with this deployment's thresholds, and Alertmanager's secrets, each in a folder of its own.

    <home>/monitoring/prometheus/    prometheus.yml, rules/
    <home>/monitoring/alertmanager/  alertmanager.yml, secrets/ (alerts_token, authority.pem; telegram_token and watchdog_url are yours to put there)
    <home>/monitoring/traces.env     where services send their traces, from their next start on

Folders, not files, because both read them again while they run (SIGHUP).
"""

from __future__ import annotations

import time
from pathlib import Path

from libs.desk.tokens import TokenStore
from libs.runtime.nats_config import write_secret
from services.cli.deploy.authority import CERTIFICATE
from services.cli.deploy.fleet import TRACES_URL
from services.cli.deploy.key_files import MONITORING, give_away, token_path
from services.cli.exit_codes import USAGE, Failure
from services.cli.monitoring.files import rule_files
from services.cli.monitoring.routing import alertmanager_config
from services.cli.monitoring.scraping import in_containers
from services.cli.monitoring.settings import AlertSettings, on_market

SECRETS = "/etc/alertmanager/secrets"
TOKEN = "alerts_token"  # noqa: S105  a file's name
YOURS = ("telegram_token", "watchdog_url")
DAYS = 365


def write_monitoring(home: Path, settings: AlertSettings, *, mode: str) -> tuple[str, ...]:
    """Write all of it below `home`; returns which secrets are still missing. Run again it writes the configuration anew, and keeps the secrets.

    Raises:
        Failure: nothing was deployed from `home`.
        TokenError: the token with which Alertmanager brings its alerts cannot be made.
    """
    authority = home / "keys" / CERTIFICATE
    if not authority.exists():
        raise Failure(
            USAGE,
            f"nothing was deployed from {home}",
            "name its folder with --home, or begin with `bulkhead deploy keys`",
        )
    settings = on_market(settings, mode)
    folder = home / MONITORING
    texts = {
        "traces.env": f"BULKHEAD_OTLP_ENDPOINT={TRACES_URL}\n",
        "prometheus/prometheus.yml": in_containers(),
        **{f"prometheus/rules/{name}": text for name, text in rule_files(settings).items()},
        "alertmanager/alertmanager.yml": alertmanager_config(settings, secrets=SECRETS),
    }
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_secret(path, text.encode())
    secrets = folder / "alertmanager" / "secrets"
    secrets.mkdir(exist_ok=True, mode=0o700)
    write_secret(secrets / CERTIFICATE, authority.read_bytes())
    if not (secrets / TOKEN).exists():
        _, token = TokenStore(token_path(home)).create("alertmanager", ("alerts",), DAYS, int(time.time()))
        write_secret(secrets / TOKEN, token.encode())
    give_away(home)
    return tuple(name for name in YOURS if not (secrets / name).exists())
