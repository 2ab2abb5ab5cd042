"""The venue as a process: it starts, it stops when asked, and it says why when it cannot."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from libs.runtime import simulator
from services.exchange_sim import run


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    for name in [name for name in os.environ if name.startswith("BULKHEAD_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("BULKHEAD_HOME", str(tmp_path))
    monkeypatch.setattr(
        simulator, "configure", lambda *_: None
    )  # the logging of a process is not the logging of a test
    return tmp_path


def test_a_signal_ends_it_with_everything_saved(home, monkeypatch) -> None:
    """SIGTERM is the ordinary end."""
    for name in ("key", "secret"):
        (home / name).write_text(f"{name}-of-this-test")
        monkeypatch.setenv(f"BULKHEAD_SIM_API_{name.upper()}_FILE", str(home / name))
    port = home / "exchange_sim" / "port"

    def end_once_open() -> None:
        while not port.exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=end_once_open, daemon=True).start()
    run.main()
    assert int(port.read_text()) > 0
    assert (home / "exchange_sim" / "account.json").exists()
    assert (home / "exchange_sim" / "clock.json").exists()


def test_a_failing_task_ends_the_process(home, monkeypatch) -> None:
    """A venue whose time has stopped by accident must not look alive."""

    async def broken(self: object) -> None:
        raise RuntimeError("the beat is broken")

    monkeypatch.setattr("services.exchange_sim.server.ExchangeServer._beat", broken)
    with pytest.raises(RuntimeError, match="the beat is broken"):
        run.main()


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("BULKHEAD_SIM_DATA", "nowhere", "no recorded frames"),
        ("BULKHEAD_SIM_API_KEY_FILE", "nowhere", "No such file"),
        ("BULKHEAD_SIM_SPEED", "fast", "BULKHEAD_SIM_SPEED"),
    ],
)
def test_what_it_cannot_start_with_is_named(home, monkeypatch, capsys, variable, value, says) -> None:
    """Exit code 78 and one clear line."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit) as caught:
        run.main()
    assert caught.value.code == 78
    assert says in "".join(capsys.readouterr())
