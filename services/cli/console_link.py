"""Where the console of this stack is, and on a simulated market the token with which a newcomer opens it.

A token in a terminal stays in its scrollback. That is right where nothing is at stake, and nowhere else: otherwise we say how one is made.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from libs.desk.tokens import Token, TokenBook, TokenError, TokenStore
from libs.runtime.nats_config import (
    GUEST_API,
    OBSERVER_USER,
    KeysError,
    check_private,
    inbox_prefix,
    key_file,
    write_secret,
)
from services.cli.child import ChildSpec
from services.cli.child_settings import load_child
from services.cli.stack import GATEWAY, Ports, StackSettings
from services.cli.stack_keys import StackError

CONSOLE_TOKEN = "console.token"  # noqa: S105  a file's name
DAYS = 365
NAME = "console"


def gateway_of(specs: Iterable[ChildSpec]) -> Any | None:
    """The settings that the gateway among these will have; None: there is none."""
    spec = next((each for each in specs if each.name == GATEWAY), None)
    return None if spec is None else load_child(spec)


def console_url(gateway: Any) -> str:
    """Where people find it; empty where it picks a port for itself."""
    if not gateway.gateway_port:
        return ""
    host = gateway.gateway_host if gateway.is_local else "127.0.0.1"
    return (
        f"{'https' if gateway.speaks_tls else 'http'}://{f'[{host}]' if ':' in host else host}:{gateway.gateway_port}"
    )


def console_line(settings: StackSettings, gateway: Any) -> str:
    """What `up` says of it; a token that cannot be made is no reason to stop trading."""
    url = console_url(gateway) or f"at the port in {settings.home}/gateway/port"
    if not settings.is_simulated:
        return f"console:  {url}  (for a token: bulkhead token create NAME --scope operate)"
    try:
        return f"console:  {url}/#token={console_token(settings.home, gateway.tokens)}"
    except (StackError, KeysError) as error:
        return f"console:  {url}  (without a token: {error})"


def console_token(home: Path, tokens: Path) -> str:
    """The token of this stack's own console; made where there is none, or none that is valid any more.

    Raises:
        StackError, KeysError: it cannot be made or kept.
    """
    path, now = home / "keys" / CONSOLE_TOKEN, int(time.time())
    if path.exists():
        check_private(path)
        text = path.read_text().strip()
        if isinstance(TokenBook(tokens).check(text, now, 0), Token):
            return text
    try:
        _, text = TokenStore(tokens).create(NAME, ("operate",), DAYS, now)
    except TokenError as error:
        raise StackError(f"{error}; {error.cure}") from None
    try:
        write_secret(path, f"{text}\n".encode())
    except OSError as error:
        raise KeysError(f"{path} cannot be written ({error.strerror})") from None
    return text


def observer_command(settings: StackSettings) -> str:
    """How to look into the log with the nats CLI; read-only."""
    seed = shlex.quote(str(key_file(settings.home, OBSERVER_USER)))
    return (
        f"nats -s {Ports(settings.port_base).nats_url} --nkey {seed} --inbox-prefix {inbox_prefix(OBSERVER_USER)}"
        f" --js-api-prefix '{GUEST_API}'"
    )
