"""The machines' settings of a backtest: what `bulkhead up` would give each service here, from the environment, `.env` and bulkhead.toml.

Three things are otherwise, because nobody but us touches a paper account and history has no half seconds:

* books and venue are compared once a day and not every minute, and the gate accepts a comparison of that age;
* what a newcomer's stack does to trade within a minute (`stack.DEV_DEFAULTS`) is left out: a backtest is about the system one would deploy;
* the instruments are those of the files, unless BULKHEAD_INSTRUMENTS names fewer.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from libs.research.cast import CAST, EXECUTOR, GATE, GATE_PUBLIC_KEY
from libs.runtime.config_file import CONFIG_VARIABLE
from libs.runtime.registry import plugged_in
from libs.runtime.settings import SettingsError
from services.cli.child import ChildSpec
from services.cli.child_settings import load_child
from services.cli.exit_codes import USAGE, Failure
from services.cli.stack import StackSettings, service_specs

DAY_MS = 86_400_000
VARIABLE_FORM = "NAME=VALUE, with a name like BULKHEAD_TREND_TIMEFRAMES (docs/configuration.md lists them all)"


def given(pairs: Sequence[str]) -> dict[str, str]:
    """The settings of `--set NAME=VALUE`.

    Raises:
        Failure: not of that form.
    """
    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (equals and name.startswith(("BULKHEAD_", "DATABASE_URL")) and name == name.strip()):
            raise Failure(USAGE, f"--set {pair!r} names no setting", f"write {VARIABLE_FORM}")
        found[name] = value
    return found


def machine_settings(environment: Mapping[str, str], instruments: Sequence[str]) -> dict[str, Any]:
    """The machines' settings by service, of those that take part in a backtest, plugged in agents included.

    Raises:
        SettingsError: as the services would say it.
    """
    seen = {"BULKHEAD_INSTRUMENTS": ",".join(instruments), **environment}
    if seen.get(CONFIG_VARIABLE):
        seen[CONFIG_VARIABLE] = str(Path(seen[CONFIG_VARIABLE]).resolve())
    with tempfile.TemporaryDirectory(prefix="bulkhead-backtest-") as folder:
        stack = StackSettings.model_construct(home=Path(folder), port_base=4200)
        specs = service_specs(stack, seen, is_newcomers=False)
        found, complaints = _loaded(specs)
    if complaints:
        raise SettingsError("\n".join(complaints))
    found[EXECUTOR] = msgspec.structs.replace(
        found[EXECUTOR], gate_public_key=GATE_PUBLIC_KEY, reconcile_interval_ms=DAY_MS, check_interval_ms=DAY_MS
    )
    found[GATE] = msgspec.structs.replace(found[GATE], reconciled_age_ms_max=2 * DAY_MS)
    return found


def _loaded(specs: Sequence[ChildSpec]) -> tuple[dict[str, Any], dict[str, None]]:
    wanted = {*CAST, *(plugin.service for plugin in plugged_in())}
    found: dict[str, Any] = {}
    complaints: dict[str, None] = {}
    for spec in specs:
        if spec.name not in wanted:
            continue
        try:
            found[spec.name] = load_child(spec).machine()
        except SettingsError as error:
            complaints |= dict.fromkeys(str(error).splitlines())
    return found, complaints
