"""Who may do what on the bus, generated from the contracts; keys, the server's configuration, and how to connect.

Theory of operation. The streams live in the account LOG. Services of the trusted zones (FEED, CORE, EXEC) are users of LOG,
each with an allow list. A service of the untrusted zones (MODEL, EDGE) has an account of its own that imports, subject by
subject, what its allow list names; so has the read-only `observer`. Inside one account an allow list can be walked around: a
request is sent with a foreign subject as its reply, and the server's answer lands there. Across accounts the reply is rewritten.

    service (FEED, CORE, EXEC)  user of LOG        publish: what it says, dead.>, its lease, its budget row, its own durables' API
    service (MODEL, EDGE)       account of its own the same, imported
    observer                    account OBSERVER   subscribe to everything, read streams; nothing is stored for it
    admin                       user of LOG        everything in LOG: provisioning only
    sys                         account SYS        the server itself

Nobody but admin has CONSUMER.CREATE, for that would undo it all: a push consumer delivers to any subject its creator names.
Subjects name the durable, never the stream's epoch.
"""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import Iterable, Mapping
from pathlib import Path
from string import Template
from typing import Any

import msgspec
import nkeys

from libs.common.subjects import TRADING_ROOTS, filter_of, writer_filter
from libs.runtime.contract import Contract, Zone
from libs.runtime.private_files import is_exposed, mode_of
from libs.runtime.streams import OBSERVER_DURABLES, RECORDER_DURABLE

LOG, OBSERVER, SYS = "LOG", "OBSERVER", "SYS"
ADMIN_USER, OBSERVER_USER, SYS_USER = "admin", "observer", "sys"
PEOPLE = (ADMIN_USER, OBSERVER_USER, SYS_USER)

TRUSTED_ZONES = (Zone.FEED, Zone.CORE, Zone.EXEC)
TEMPLATE = Path(__file__).parents[2] / "deploy" / "nats" / "nats-server.conf.template"

API = "$JS.API"
GUEST_API = "$JS.LOG.API"
"""Where a guest finds LOG's API. Under its usual name it would ask its own account, which has no streams."""


class KeysError(Exception):
    """A key is missing or readable by others; the text names the file and the cure."""


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What differs between one server and another. `sync_interval` is anything but `always` only while a log is copied that is safe elsewhere."""

    store_dir: Path
    port: int
    monitor_port: int
    host: str = "127.0.0.1"
    monitor_host: str = "127.0.0.1"
    server_name: str = "bulkhead"
    file_store_max: str = "20GB"
    sync_interval: str = "always"
    tls_cert: Path | None = None
    tls_key: Path | None = None


class Grant(msgspec.Struct, frozen=True):
    """What one user may publish and subscribe to, as subjects that may hold wildcards."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


# --- permissions ----------------------------------------------------------------------------------------------


def inbox_prefix(user: str) -> str:
    """The private inbox of a user: without it, users of one account could read each other's deliveries."""
    return f"_INBOX_{user}"


def durables_of(contract: Contract) -> tuple[str, ...]:
    """The durables a service pulls from: its own and its readers'."""
    return (contract.service, *(reader.durable for reader in contract.readers))


def grant_of(contract: Contract) -> Grant:
    """Everything a running service may do."""
    publish = sorted({filter_of(kind, contract.writer) for kind in contract.says})
    if contract.zone is Zone.FEED:
        publish.append(writer_filter("market"))
    publish += ["dead.>", f"$KV.LEASES.{contract.writer}"]
    if contract.calls_venues:
        publish.append(f"$KV.BUDGETS.*.*.{contract.writer}")
    publish += [f"{api_prefix(contract)}.{request}" for request in _reads(durables_of(contract))]
    return Grant(tuple(publish), (f"{inbox_prefix(contract.service)}.>",))


def observer_grant() -> Grant:
    """Everything the observer may do: look."""
    api = ["INFO", "STREAM.LIST", "CONSUMER.NAMES.*", "CONSUMER.LIST.*", "CONSUMER.INFO.*.*"]
    api += [
        request
        for request in _reads((*OBSERVER_DURABLES, RECORDER_DURABLE))
        if not request.startswith("CONSUMER.INFO.")
    ]
    publish = [f"{GUEST_API}.{request}" for request in api]
    heard = [*(f"{root}.>" for root in TRADING_ROOTS), "market.>", "dead.>", "$KV.LEASES.>", "$KV.BUDGETS.>"]
    return Grant(tuple(publish), (*heard, f"{inbox_prefix(OBSERVER_USER)}.>"))


def _reads(durables: Iterable[str]) -> list[str]:
    """The API requests of these durables, and of reading points of any stream."""
    verbs = ("MSG.NEXT", "INFO", "RESET")
    requests = [f"CONSUMER.{verb}.*.{durable}" for durable in durables for verb in verbs]
    return [*requests, "STREAM.MSG.GET.*", "STREAM.INFO.*", "STREAM.NAMES"]


def api_prefix(contract: Contract) -> str:
    """What the subjects of the JetStream API begin with for this service's user."""
    return API if account_of(contract) == LOG else GUEST_API


def account_of(contract: Contract) -> str:
    """The account a service's user belongs to."""
    if contract.zone in TRUSTED_ZONES:
        return LOG
    return f"{contract.zone}_{contract.service}".upper().replace("-", "_")


def accounts(
    contracts: Iterable[Contract], public_keys: Mapping[str, str], former: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The `accounts` block of the server's configuration. `public_keys` has one nkey for each service and each of PEOPLE, `former` those that
    are being replaced: until that is done both are let in, with the same permissions."""

    def known(user: str, grant: Grant | None) -> list[dict[str, Any]]:
        keys = [public_keys[user], *([former[user]] if former and user in former else [])]
        return [{"nkey": key} if grant is None else _user(key, grant) for key in keys]

    log_users = known(ADMIN_USER, None)
    guests: dict[str, Grant] = {OBSERVER: observer_grant()}
    found: dict[str, Any] = {
        OBSERVER: {"users": known(OBSERVER_USER, guests[OBSERVER])},
        SYS: {"users": known(SYS_USER, None)},
    }
    for contract in contracts:
        users = known(contract.service, grant_of(contract))
        account = account_of(contract)
        if account == LOG:
            log_users += users
        elif account in guests:
            raise ValueError(f"{contract.service}: two services would share the account {account}")
        else:
            guests[account] = grant_of(contract)
            found[account] = {"users": users}
    for account, grant in guests.items():
        found[account]["imports"] = [_import(kind, subject) for kind, subject in _crossing(grant)]
    return {LOG: {"jetstream": "enabled", "users": log_users, "exports": _exports(guests)}, **found}


def _user(nkey: str, grant: Grant) -> dict[str, Any]:
    permissions = {"publish": {"allow": list(grant.publish)}, "subscribe": {"allow": list(grant.subscribe)}}
    return {"nkey": nkey, "permissions": permissions}


def _crossing(grant: Grant) -> list[tuple[str, str]]:
    """What of a guest's grant crosses the border: requests as services, everything heard but its own inbox as streams."""
    services = [("service", subject) for subject in grant.publish]
    return services + [("stream", subject) for subject in grant.subscribe if not subject.startswith("_INBOX_")]


def _exports(guests: Mapping[str, Grant]) -> list[dict[str, Any]]:
    allowed: dict[tuple[str, str], list[str]] = {}
    for account, grant in guests.items():
        for kind, subject in _crossing(grant):
            allowed.setdefault((kind, subject.replace(GUEST_API, API)), []).append(account)
    exports = []
    for (kind, subject), names in allowed.items():
        export: dict[str, Any] = {kind: subject, "accounts": names}
        if ".CONSUMER.MSG.NEXT." in subject:
            export["response_type"] = "Stream"  # one pull is answered by many messages
        exports.append(export)
    return exports


def _import(kind: str, subject: str) -> dict[str, Any]:
    there = subject.replace(GUEST_API, API)
    entry: dict[str, Any] = {kind: {"account": LOG, "subject": there}}
    return entry if there == subject else {**entry, "to": subject}


def render(
    contracts: Iterable[Contract],
    public_keys: Mapping[str, str],
    server: ServerSettings,
    former: Mapping[str, str] | None = None,
) -> str:
    """The text of the server's configuration file. `former`: see `accounts`."""
    tls = ""
    if server.tls_cert is not None:
        tls = f'tls {{ cert_file: "{server.tls_cert}", key_file: "{server.tls_key}" }}\n'
    return Template(TEMPLATE.read_text()).substitute(
        server_name=server.server_name,
        host=server.host,
        port=server.port,
        monitor_host=server.monitor_host,
        monitor_port=server.monitor_port,
        store_dir=server.store_dir,
        file_store_max=server.file_store_max,
        sync_interval=server.sync_interval,
        tls=tls,
        accounts=json.dumps(accounts(tuple(contracts), public_keys, former), indent=2),
    )


# --- keys -----------------------------------------------------------------------------------------------------


def users_of(contracts: Iterable[Contract]) -> tuple[str, ...]:
    """Everybody who has a key."""
    return (*(contract.service for contract in contracts), *PEOPLE)


def key_file(home: Path, user: str) -> Path:
    """Where the secret seed of a user stands."""
    return home / "keys" / f"{user}.nk"


def ensure_keys(home: Path, users: Iterable[str]) -> dict[str, str]:
    """Make the keys that are missing, readable by their owner alone; returns the public key of each user.

    Raises:
        KeysError: a seed file is readable by others, or is not a seed.
    """
    folder = home / "keys"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    return {user: public_key_of(_ensure_key(key_file(home, user))) for user in users}


def _ensure_key(path: Path) -> Path:
    if not path.exists():
        write_secret(path, nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER))
    return path


def write_secret(path: Path, secret: bytes) -> None:
    """Write a secret whole or not at all, readable by its owner alone."""
    draft = path.with_name(f"{path.name}.draft")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secret)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def public_key_of(path: Path) -> str:
    """The public half of the seed in a file.

    Raises:
        KeysError: it is missing, readable by others, or no seed.
    """
    check_private(path)
    try:
        pair = nkeys.from_seed(bytearray(path.read_bytes().strip()))
    except (nkeys.NkeysError, ValueError, TypeError) as error:
        raise KeysError(f"{path} is not an nkey seed; delete it and start again to get a new one") from error
    public: str = pair.public_key.decode()
    pair.wipe()
    return public


def check_private(path: Path) -> None:
    """Refuse a secret file that is missing or that others may read.

    Raises:
        KeysError: with the file's name and what to do.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        raise KeysError(f"{path} is missing; `bulkhead up` makes it, in a deployment it is mounted") from None
    except OSError as error:
        raise KeysError(f"{path} cannot be looked at ({error.strerror}); is BULKHEAD_HOME a folder of ours?") from None
    if is_exposed(status):
        raise KeysError(
            f"{path} is readable by others (mode {mode_of(status)}); chmod 600 it, and change the key if it leaked"
        )


def check_key(home: Path, user: str) -> None:
    """Refuse a user's key before anybody connects with it.

    Raises:
        KeysError: it is missing, readable by others, or no seed.
    """
    public_key_of(key_file(home, user))


# --- connecting -----------------------------------------------------------------------------------------------


def connect_options(home: Path, user: str, url: str = "nats://127.0.0.1:4222") -> dict[str, Any]:
    """What `nats.connect` is called with, by everybody (the numbers were measured: docs/decisions, "the bus").

    `pending_size=0`: a publish made while disconnected fails at once instead of being sent later as a ghost. Pings find a dead
    connection in ten seconds. Reconnects never end; a process that must not wait gives up by itself.

    Raises:
        KeysError: the user's seed file is missing or readable by others.
    """
    seed = key_file(home, user)
    check_private(seed)
    options: dict[str, Any] = {
        "servers": [url],
        "name": user,
        "nkeys_seed": str(seed),
        "inbox_prefix": inbox_prefix(user),
        "allow_reconnect": True,
        "max_reconnect_attempts": -1,
        "reconnect_time_wait": 0.2,
        "connect_timeout": 2,
        "ping_interval": 5,
        "max_outstanding_pings": 2,
        "pending_size": 0,
        "drain_timeout": 2,
    }
    authority = home / "keys" / "nats-ca.pem"
    if url.startswith("tls://"):
        options["tls"] = ssl.create_default_context(cafile=str(authority) if authority.exists() else None)
    return options
