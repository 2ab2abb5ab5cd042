"""What `up` says of the console, and the token that it makes for it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from libs.desk.tokens import TokenStore, token_file
from libs.runtime.nats_config import KeysError
from services.cli.console_link import CONSOLE_TOKEN, console_line, console_token, console_url, gateway_of
from services.cli.stack import StackSettings, service_specs


def gateway_in(home: Path, **settings: Any) -> tuple[StackSettings, Any]:
    """A stack's settings, and its gateway's."""
    stack = StackSettings(home=home, port_base=5200, **settings)
    return stack, gateway_of(service_specs(stack, {"PATH": "/bin"}))


def test_a_newcomer_gets_a_link_that_stays_the_same(tmp_path: Path) -> None:
    """On a simulated market; the token may operate, and another is made only where it is not valid any more."""
    stack, gateway = gateway_in(tmp_path)
    line = console_line(stack, gateway)
    assert line.startswith("console:  http://127.0.0.1:5203/#token=bht_")
    assert console_line(stack, gateway) == line
    store = TokenStore(token_file(tmp_path))
    (token,) = store.tokens()
    assert (token.name, token.scopes) == ("console", ("operate",))
    store.revoke(token.id, int(time.time()))
    assert console_line(stack, gateway) != line
    assert len(store.tokens()) == 2


@pytest.mark.parametrize("mode", ["paper", "live"])
def test_where_something_is_at_stake_no_token_is_shown(mode: str, tmp_path: Path) -> None:
    """A terminal remembers what it has shown; there we say how one is made."""
    stack = StackSettings(home=tmp_path, port_base=5200, mode=mode)  # type: ignore[arg-type]
    _, gateway = gateway_in(tmp_path)
    assert console_line(stack, gateway).endswith("(for a token: bulkhead token create NAME --scope operate)")
    assert not (tmp_path / "keys" / CONSOLE_TOKEN).exists()


def test_a_token_that_others_can_read_is_not_used(tmp_path: Path) -> None:
    """It may have been read already; trading goes on without a link."""
    stack, gateway = gateway_in(tmp_path)
    console_token(tmp_path, gateway.tokens)
    (tmp_path / "keys" / CONSOLE_TOKEN).chmod(0o644)
    with pytest.raises(KeysError):
        console_token(tmp_path, gateway.tokens)
    assert "without a token" in console_line(stack, gateway)


def test_the_link_is_one_that_a_browser_can_open(tmp_path: Path) -> None:
    """Whatever it listens on, people here reach it on this machine."""
    _, gateway = gateway_in(tmp_path)
    wide = gateway.model_copy(update={"gateway_host": "0.0.0.0", "gateway_port": 1})
    six = gateway.model_copy(update={"gateway_host": "::1", "gateway_port": 1})
    assert (console_url(wide), console_url(six)) == ("http://127.0.0.1:1", "http://[::1]:1")
    assert console_url(gateway.model_copy(update={"gateway_port": 0})) == ""
