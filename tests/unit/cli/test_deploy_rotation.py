"""`bulkhead deploy rotate`: a new secret beside the old one, and words for what has to be done."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import make_url
from typer.testing import CliRunner

from libs.runtime.nats_config import public_key_of
from services.cli.app import app
from services.cli.deploy.key_files import make_keys
from services.cli.deploy.rotation import finish, rotatable, rotate
from services.cli.exit_codes import Failure


def test_both_keys_are_let_in_until_the_change_is_finished(tmp_path: Path) -> None:
    """The new key stands beside the former one, with the same permissions; when it is finished the former one is gone from file and bus."""
    keys = make_keys(tmp_path).folder
    old = public_key_of(keys / "ledger.nk")
    changed = rotate(tmp_path, "ledger")
    new = public_key_of(keys / "ledger.nk")
    assert changed.files == ("ledger.nk", "nats-server.conf")
    assert old != new
    assert [(keys / "nats-server.conf").read_text().count(key) for key in (old, new)] == [1, 1]
    assert (tmp_path / "bus" / "nats-server.conf").read_bytes() == (keys / "nats-server.conf").read_bytes()
    done = finish(tmp_path, "ledger")
    assert done.files == ("nats-server.conf",)
    assert [(keys / "nats-server.conf").read_text().count(key) for key in (old, new)] == [0, 1]
    assert not (keys / "ledger.nk.former").exists()


def test_one_change_at_a_time(tmp_path: Path) -> None:
    """A second change before the first is finished would lock out whoever still has the first key: it is refused, and nothing is written."""
    keys = make_keys(tmp_path).folder
    rotate(tmp_path, "ledger")
    before = {path.name: path.read_bytes() for path in keys.iterdir()}
    with pytest.raises(Failure, match="not finished"):
        rotate(tmp_path, "ledger")
    assert {path.name: path.read_bytes() for path in keys.iterdir()} == before
    assert rotate(tmp_path, "notifier").files == ("nats-server.conf", "notifier.nk")


def test_what_was_not_begun_cannot_be_finished(tmp_path: Path) -> None:
    """Nor can what has no secret be changed, nor anything in a folder from which nothing was deployed."""
    make_keys(tmp_path)
    with pytest.raises(Failure, match="nothing is to be finished"):
        finish(tmp_path, "ledger")
    with pytest.raises(Failure, match="no secret of its own"):
        rotate(tmp_path, "ledgr")
    with pytest.raises(Failure, match="nothing was deployed"):
        rotate(tmp_path / "elsewhere", "ledger")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("what", rotatable())
def test_a_change_touches_what_it_names_and_no_other_secret(tmp_path: Path, what: str) -> None:
    """Whatever is changed, everybody else's secrets stay as they are; the steps say who is started again."""
    keys = make_keys(tmp_path).folder
    before = {path.name: path.read_bytes() for path in keys.iterdir()}
    changed = rotate(tmp_path, what)
    after = {path.name: path.read_bytes() for path in keys.iterdir() if not path.name.endswith(".former")}
    different = {name for name in after if after[name] != before[name]}
    assert different == set(changed.files)
    own = {f"{what}.nk", "nats-server.conf"}
    expected = {
        "nats-tls": {"nats-server.pem", "nats-server.key"},
        "postgres-tls": {"postgres-server.pem", "postgres-server.key"},
        "gateway-tls": {"gateway.pem", "gateway.key"},
        "database": {"database-url"},
        "database-watcher": {"database-watcher-password"},
        "gate": {"gate-signing.pem", "gate-public.hex"},
    }
    assert different == expected.get(what, own)
    assert changed.steps


def test_the_databases_login_gets_another_password(tmp_path: Path) -> None:
    """The ledger's URL differs in its password alone; the job that opens the database is the first to run."""
    keys = make_keys(tmp_path).folder
    old = make_url((keys / "database-url").read_text())
    changed = rotate(tmp_path, "database")
    new = make_url((keys / "database-url").read_text())
    assert (old.set(password="x"), old.password != new.password) == (new.set(password="x"), True)
    assert [step.split()[-1] for step in changed.steps] == ["open", "ledger"]


def test_the_command_says_the_steps_in_order(tmp_path: Path) -> None:
    """For people: what is new, then what to do; an unknown name is answered with those there are."""
    make_keys(tmp_path)
    told = CliRunner().invoke(app, ["deploy", "rotate", "ledger", "--home", str(tmp_path)])
    assert told.exit_code == 0
    assert told.stdout.index("HUP nats") < told.stdout.index("ledger\n") < told.stdout.index("--finish")
    refused = CliRunner().invoke(app, ["deploy", "rotate", "nobody", "--home", str(tmp_path)])
    assert refused.exit_code == 2
    assert "gateway-tls" in refused.output
