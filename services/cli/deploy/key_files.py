"""Every secret of a deployment as a file of its own, in `keys/` of a state folder, and the configuration of the bus that follows from them.

    bulkhead deploy keys ──▶ <home>/keys/   <user>.nk  gate-signing.pem  gate-public.hex  venue-api-…  database-…  *.pem *.key  nats-server.conf
                             <home>/bus/    what the bus reads of them
                             <home>/tokens/ api-tokens.json

What is there stays: running it again makes what is missing, renews certificates that end within a month, and writes the bus's configuration anew, because that
follows from the others and from the contracts. Each file is for one process alone (`fleet`); `authority.key` is for none.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from pathlib import Path

import msgspec

from libs.runtime.nats_config import (
    ServerSettings,
    check_private,
    ensure_keys,
    public_key_of,
    render,
    users_of,
    write_secret,
)
from libs.runtime.registry import contracts
from services.cli.deploy import fleet
from services.cli.deploy.authority import CERTIFICATE, KEY, Authority
from services.cli.stack_keys import ensure_gate_key, ensure_venue_key

OWNER, LOGIN, DATABASE = "bulkhead_owner", "ledger_login", "bulkhead"
CONTAINER_UID = 10001
"""As whom the images run. Files made by root are given to it; files made by anybody else stay his, and the containers run as him."""
RENEW_DAYS = 30
BUS_FOLDER = "/etc/nats"
BUS_STORE = "/data"
BUS, TOKENS, MONITORING = "bus", "tokens", "monitoring"
GIVEN = ("keys", BUS, TOKENS, MONITORING)
"""What containers read; all of it is for the user that they run as."""
FORMER = ".former"
"""What the file of a key is called that is being replaced: the bus lets it in beside the new one."""
SERVERS: dict[str, tuple[str, str]] = {
    "nats": (fleet.NATS_CERT, fleet.NATS_KEY),
    "postgres": (fleet.DATABASE_CERT, fleet.DATABASE_KEY),
    "gateway": (fleet.GATEWAY_CERT, fleet.GATEWAY_KEY),
}
"""Who proves himself to others, and with which files."""


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """What a run found and did: `new` are the names of files that it wrote, `uid` is whose they are."""

    folder: Path
    new: tuple[str, ...]
    kept: int
    uid: int


def make_keys(home: Path, names: Sequence[str] = ()) -> Made:
    """Make what is missing. `names` are further host names or addresses by which people reach the gateway.

    Raises:
        KeysError, StackError: a file is readable by others, or is not what its name says.
        OSError: the folder cannot be written.
    """
    folder = home / "keys"
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.mkdir(exist_ok=True, mode=0o700)
    before = _contents(folder)
    public_keys = ensure_keys(home, users_of(contracts()))
    ensure_venue_key(home)
    write_secret(folder / fleet.GATE_PUBLIC, f"{ensure_gate_key(home).public_key}\n".encode())
    _certify(folder, names)
    _open_database(folder)
    config = render(contracts(), public_keys, _bus_settings(), _former_keys(folder))
    write_secret(folder / fleet.NATS_CONF, config.encode())
    (home / TOKENS).mkdir(exist_ok=True, mode=0o700)
    _lay_out_bus(home)
    after = _contents(folder)
    uid = give_away(home)
    new = tuple(sorted(name for name, content in after.items() if before.get(name) != content))
    return Made(folder=folder, new=new, kept=len(after) - len(new), uid=uid)


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def _former_keys(folder: Path) -> dict[str, str]:
    """The public keys that are being replaced, by user (`rotation`)."""
    found = folder.glob(f"*.nk{FORMER}")
    return {path.name.removesuffix(f".nk{FORMER}"): public_key_of(path) for path in found}


def _lay_out_bus(home: Path) -> None:
    """What the bus is configured by, once more in a folder of its own: it reads these files again while it runs, and a file that is mounted alone is the one of
    the start for ever."""
    folder = home / BUS
    folder.mkdir(exist_ok=True, mode=0o700)
    for name in (fleet.NATS_CONF, fleet.NATS_CERT, fleet.NATS_KEY):
        content = (home / "keys" / name).read_bytes()
        if not (folder / name).exists() or (folder / name).read_bytes() != content:
            write_secret(folder / name, content)


def _certify(folder: Path, names: Sequence[str]) -> None:
    authority = Authority(folder)
    for copy in (fleet.NATS_CA, fleet.DATABASE_CA):
        write_secret(folder / copy, (folder / CERTIFICATE).read_bytes())
    for server, (certificate, key) in SERVERS.items():
        called = (server, "localhost", "127.0.0.1", *(names if server == "gateway" else ()))
        is_good = authority.has_signed(folder / certificate, called, days_left=RENEW_DAYS)
        if not (folder / key).exists() or not is_good:
            authority.certify(folder / certificate, folder / key, called)
        check_private(folder / key)


def _open_database(folder: Path) -> None:
    """Passwords that nobody types: 256 bits each, only ever in these files."""
    owner = folder / fleet.OWNER_PASSWORD
    if not owner.exists():
        write_secret(owner, secrets.token_urlsafe(32).encode())
    check_private(owner)
    write_secret(folder / fleet.OWNER_URL, _url(OWNER, owner.read_text()).encode())
    for name in (fleet.WATCHER_PASSWORD, fleet.GRAFANA_PASSWORD):
        if not (folder / name).exists():
            write_secret(folder / name, secrets.token_urlsafe(32).encode())
        check_private(folder / name)
    if not (folder / fleet.DATABASE_URL).exists():
        write_secret(folder / fleet.DATABASE_URL, _url(LOGIN, secrets.token_urlsafe(32)).encode())
    check_private(folder / fleet.DATABASE_URL)


def _url(user: str, password: str) -> str:
    place = f"postgres:{fleet.POSTGRES_PORT}/{DATABASE}"
    return f"postgresql://{user}:{password}@{place}?sslmode=verify-full&sslrootcert={fleet.KEYS}/{fleet.DATABASE_CA}"


def _bus_settings() -> ServerSettings:
    return ServerSettings(
        store_dir=Path(BUS_STORE),
        port=fleet.NATS_PORT,
        monitor_port=fleet.MONITOR_PORT,
        host="0.0.0.0",  # noqa: S104  # nosec B104  # in its own network namespace, with TLS and nkeys
        monitor_host="0.0.0.0",  # noqa: S104  # nosec B104  # for the watchman and the exporter, which are beside it
        tls_cert=Path(BUS_FOLDER) / fleet.NATS_CERT,
        tls_key=Path(BUS_FOLDER) / fleet.NATS_KEY,
    )


def token_path(home: Path) -> Path:
    """Where the digests of the API's tokens stand: the gateway sees a change of this file at once."""
    return home / TOKENS / Path(fleet.API_TOKENS).name


def give_away(home: Path) -> int:
    """Whose the files are from now on, as a uid: ours, or the containers' if we are root, who runs nothing. The authority's key goes to nobody."""
    uid = os.getuid()
    if uid:
        return uid
    for path in (
        each for folder in GIVEN if (home / folder).exists() for each in (home / folder, *(home / folder).rglob("*"))
    ):
        if path.name != KEY:
            os.chown(path, CONTAINER_UID, CONTAINER_UID)
    return CONTAINER_UID
