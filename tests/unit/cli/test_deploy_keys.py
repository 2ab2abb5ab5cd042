"""`bulkhead deploy keys`: every secret of a deployment, made once, each a file that nobody else reads."""

from __future__ import annotations

import datetime as dt
import json
import os
import stat
from pathlib import Path

import pytest
from cryptography import x509
from sqlalchemy import make_url
from typer.testing import CliRunner

from libs.runtime.nats_config import KeysError
from services.cli.app import app
from services.cli.deploy import authority, key_files
from services.cli.deploy.authority import Authority


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_second_run_keeps_everything(tmp_path: Path) -> None:
    """Keys are made once: running it again changes not one byte, so that it can stand in every script."""
    first = key_files.make_keys(tmp_path)
    before = contents(first.folder)
    again = key_files.make_keys(tmp_path)
    assert (again.new, again.kept) == ((), len(before))
    assert contents(first.folder) == before


def test_nobody_else_reads_any_of_it(tmp_path: Path) -> None:
    """Files for their owner alone, in folders that nobody else enters; made by root they are the containers', but for the authority's own key."""
    made = key_files.make_keys(tmp_path / "deploy")
    assert {stat.S_IMODE(path.stat().st_mode) for path in made.folder.iterdir()} == {0o600}
    assert [
        stat.S_IMODE(each.stat().st_mode) for each in (made.folder, tmp_path / "deploy", tmp_path / "deploy" / "tokens")
    ] == [0o700] * 3
    owners = {path.name: path.stat().st_uid for path in made.folder.iterdir()}
    assert owners.pop("authority.key") == os.getuid()
    assert set(owners.values()) == {made.uid}
    assert made.uid != 0


def test_what_is_lost_is_made_anew_and_nothing_else(tmp_path: Path) -> None:
    """One service's key is gone: it gets another one, and the bus's configuration, which names its public half, follows."""
    made = key_files.make_keys(tmp_path)
    before = contents(made.folder)
    (made.folder / "ledger.nk").unlink()
    assert key_files.make_keys(tmp_path).new == ("ledger.nk", "nats-server.conf")
    after = contents(made.folder)
    assert {name for name in before if before[name] != after[name]} == {"ledger.nk", "nats-server.conf"}


def test_a_certificate_is_renewed_before_it_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A month before its end a server's certificate is made anew, with a key of its own, by the same authority."""
    made = key_files.make_keys(tmp_path)
    before = contents(made.folder)
    monkeypatch.setattr(key_files, "RENEW_DAYS", authority.SERVER_DAYS + 1)
    renewed = key_files.make_keys(tmp_path)
    assert set(renewed.new) == {name for pair in key_files.SERVERS.values() for name in pair}
    assert (made.folder / "authority.pem").read_bytes() == before["authority.pem"]


def test_the_gateways_certificate_says_how_people_reach_it(tmp_path: Path) -> None:
    """Its own name, this machine, and whatever was named: a browser that is told another name refuses."""
    made = key_files.make_keys(tmp_path, ["trade.example.org", "192.0.2.7"])
    certificate = x509.load_pem_x509_certificate((made.folder / "gateway.pem").read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["gateway", "localhost", "trade.example.org"]
    assert [str(each) for each in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "192.0.2.7"]
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate((made.folder / "authority.pem").read_bytes()))
    assert certificate.not_valid_after_utc - dt.datetime.now(dt.UTC) < dt.timedelta(days=398)


def test_another_authoritys_certificate_is_not_taken_for_ours(tmp_path: Path) -> None:
    """A certificate that somebody else signed is replaced: our services would not believe it."""
    ours, other = key_files.make_keys(tmp_path / "ours"), key_files.make_keys(tmp_path / "other")
    (ours.folder / "nats-server.pem").write_bytes((other.folder / "nats-server.pem").read_bytes())
    assert not Authority(ours.folder).has_signed(ours.folder / "nats-server.pem")
    assert "nats-server.pem" in key_files.make_keys(tmp_path / "ours").new


def test_a_new_name_is_in_the_certificate_at_once(tmp_path: Path) -> None:
    """Who names a further host gets a certificate that knows it, not the one of yesterday."""
    key_files.make_keys(tmp_path)
    assert set(key_files.make_keys(tmp_path, ["trade.example.org"]).new) == {"gateway.pem", "gateway.key"}
    assert key_files.make_keys(tmp_path, ["trade.example.org"]).new == ()


def test_database_urls_prove_the_server(tmp_path: Path) -> None:
    """Owner and ledger have different passwords, and neither speaks to a server that cannot prove who it is."""
    folder = key_files.make_keys(tmp_path).folder
    owner, ledger = (make_url((folder / name).read_text()) for name in ("database-owner-url", "database-url"))
    assert (owner.username, ledger.username) == ("bulkhead_owner", "ledger_login")
    assert owner.password != ledger.password
    assert len(str(ledger.password)) >= 43
    assert {url.query["sslmode"] for url in (owner, ledger)} == {"verify-full"}
    assert owner.password == (folder / "database-owner-password").read_text()


@pytest.mark.parametrize(
    "name", ["authority.key", "risk-gate.nk", "gate-signing.pem", "database-url", "nats-server.key"]
)
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, name: str) -> None:
    """A secret that was open may have been read: nothing is built on it, and the refusal names the file."""
    folder = key_files.make_keys(tmp_path).folder
    (folder / name).chmod(0o644)
    with pytest.raises(KeysError, match=name):
        key_files.make_keys(tmp_path)


def test_a_broken_authority_is_no_reason_to_make_another(tmp_path: Path) -> None:
    """A second authority would be believed by nobody who runs: the refusal says what to do."""
    folder = key_files.make_keys(tmp_path).folder
    (folder / "authority.key").write_bytes(b"not a key")
    with pytest.raises(KeysError, match="bring it back"):
        key_files.make_keys(tmp_path)


def test_the_command_says_what_it_made_and_no_secret(tmp_path: Path) -> None:
    """Its answer, for people and for scripts, names files; nothing that is in them."""
    plain = CliRunner().invoke(app, ["deploy", "keys", "--home", str(tmp_path)])
    told = CliRunner().invoke(app, ["deploy", "keys", "--home", str(tmp_path), "--json"])
    assert plain.exit_code == told.exit_code == 0
    answer = json.loads(told.stdout)
    assert (answer["new"], answer["folder"]) == ([], str(tmp_path / "keys"))
    secrets = [
        body.decode().strip()
        for name, body in contents(tmp_path / "keys").items()
        if name.endswith(".nk") or "venue" in name
    ]
    assert not [secret for secret in secrets if secret in plain.output + told.output]


def test_a_token_is_known_to_the_gateway_and_shown_once(tmp_path: Path) -> None:
    """The digest stands where the gateway looks; a scope that does not exist is refused."""
    CliRunner().invoke(app, ["deploy", "keys", "--home", str(tmp_path)])
    made = CliRunner().invoke(app, ["deploy", "token", "ops", "--scope", "operate", "--home", str(tmp_path)])
    kept = (tmp_path / "tokens" / "api-tokens.json").read_text()
    assert made.exit_code == 0
    assert made.stdout.split("_")[1] in kept
    assert made.stdout.strip() not in kept
    assert CliRunner().invoke(app, ["deploy", "token", "x", "--scope", "all", "--home", str(tmp_path)]).exit_code == 78
