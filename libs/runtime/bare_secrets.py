"""A secret comes from a file; one that is given as a value, by variable or in bulkhead.toml, is refused without being shown.

An environment is inherited, dumped and logged, and a configuration file is committed and mailed. Neither is a place for a key.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from libs.runtime.config_names import PLACES, PREFIX, nearest

DATABASE_URL = "DATABASE_URL"
"""The one variable of another make: hosting platforms set it. Without a password in it, it is no secret."""
NOT_SECRET = ("PUBLIC_KEY", "_FILE")
LAST_WORDS = ("SECRET", "TOKEN", "PASSWORD", "PASSPHRASE", "API_KEY", "PRIVATE_KEY", "SIGNING_KEY", "SECRET_KEY")
VENUES = ("BINANCE", "KRAKEN", "KUCOIN", "VENUE", "EXCHANGE")
PROVIDERS = ("OPENAI", "ANTHROPIC", "MODEL")
_KINDS = {
    "API_KEY": "EXEC_API_KEY",
    "API_SECRET": "EXEC_API_SECRET",
    "SECRET_KEY": "EXEC_API_SECRET",
    "SECRET": "EXEC_API_SECRET",
    "API_PASSPHRASE": "EXEC_API_PASSPHRASE",
    "PASSPHRASE": "EXEC_API_PASSPHRASE",
}
OTHER_NAMES = {
    **{f"{PREFIX}{venue}_{kind}": f"{PREFIX}{ours}" for venue in VENUES for kind, ours in _KINDS.items()},
    **{f"{PREFIX}{provider}_API_KEY": f"{PREFIX}LLM_API_KEY" for provider in PROVIDERS},
    f"{PREFIX}TELEGRAM_BOT_TOKEN": f"{PREFIX}TELEGRAM_TOKEN",
}
"""What people call our secrets elsewhere."""


def file_variable_of(variable: str) -> str:
    """The `..._FILE` variable to use instead of `variable`; empty: what it holds is no secret of ours."""
    variable = variable.upper()
    if not variable.startswith(PREFIX) or variable in PLACES or variable.endswith(NOT_SECRET):
        return ""
    ours = OTHER_NAMES.get(variable, variable)
    wanted = f"{ours}_FILE"
    if wanted in PLACES or variable in OTHER_NAMES:
        return wanted
    if variable.endswith(LAST_WORDS):
        return nearest(wanted, (each for each in PLACES if each.endswith("_FILE")), 0.85) or wanted
    return ""


def bare_secrets(environment: Mapping[str, str]) -> list[str]:
    """A line for each variable that gives a secret as a value."""
    lines = []
    for variable in sorted(environment):
        wanted = file_variable_of(variable) if environment[variable] else ""
        if wanted:
            lines.append(f"{variable.upper()}: got (not shown); {instead(wanted)}")
    if has_password(environment.get(DATABASE_URL, "")):
        lines.append(
            f"{DATABASE_URL}: got (not shown); it holds a password, and {instead(f'{PREFIX}{DATABASE_URL}_FILE')}"
        )
    return lines


def instead(wanted: str) -> str:
    """What to do with the secret."""
    return f"a secret is read from a file only: put it there, alone (chmod 600), and name the file in {wanted}"


def has_password(url: str) -> bool:
    """Whether a URL carries a password."""
    try:
        return bool(urlsplit(url.strip()).password)
    except ValueError:  # no URL at all; who reads it will say so
        return "@" in url
