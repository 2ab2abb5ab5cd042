"""`bulkhead keys`: which keys a state folder holds, what each is for, how old it is, and whether others can read it. Never a key itself."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import nkeys
import typer
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from libs.runtime.nats_config import PEOPLE
from libs.runtime.private_files import is_exposed, mode_of
from libs.runtime.registry import SERVICES
from services.cli.answering import answering, show, tell_failure
from services.cli.exit_codes import FINDING, POINTER
from services.cli.options import Home, Json
from services.cli.place import stack_settings
from services.cli.stack_keys import GATE_KEY, VENUE_KEY, VENUE_SECRET

DAY_S = 86_400
_FOR: dict[str, str] = {
    GATE_KEY: "the risk gate's signature on approvals",
    VENUE_KEY: "the key of this stack's own simulated venue",
    VENUE_SECRET: "the secret of this stack's own simulated venue",
    "api-tokens.json": "digests of the API's tokens: `bulkhead token list`",
    "console.token": "the console's token of a simulated stack",
    "nats-ca.pem": "the certificate authority of the bus (public)",
    "admin.nk": "provisioning of the bus",
    "observer.nk": "looking at the bus: this command line, the nats CLI",
    "sys.nk": "the bus about itself",
}
PUBLIC = ("nats-ca.pem",)
"""What anybody may read."""

app = typer.Typer(help="The keys of a state folder.", epilog=POINTER, no_args_is_help=True)


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """One file. `public` is what tells it from another key of its kind and can be shown; `flaw` is what is wrong, "" nothing."""

    file: str
    used_for: str
    age_days: float
    public: str
    flaw: str


@app.command(name="list", epilog=POINTER)
def list_keys(ctx: typer.Context, home: Home = None, as_json: Json = False) -> None:
    """What each key is for, how old it is, its public half, and whether others can read it. Exit code 1: something is wrong."""
    with answering(as_json):
        found = keys_in(stack_settings(home or ctx.obj, strict=False).home)
    show(found if as_json else _table(found), as_json)
    if flawed := [key for key in found if key.flaw]:
        tell_failure(
            "; ".join(f"{key.file}: {key.flaw}" for key in flawed),
            "chmod 600 what others can read, and change it if it leaked; delete what is no key: the next `bulkhead up` makes it anew",
        )
        raise typer.Exit(FINDING)


def keys_in(home: Path) -> list[Key]:
    """Every file in the folder of keys, by name; empty where there is none yet."""
    folder = home / "keys"
    return [_key(path) for path in sorted(folder.iterdir()) if path.is_file()] if folder.is_dir() else []


def _key(path: Path) -> Key:
    status = path.stat()
    public, flaw = _looked_at(path)
    if is_exposed(status) and path.name not in PUBLIC:
        flaw = f"others can read it (mode {mode_of(status)})"
    age = (time.time() - status.st_mtime) / DAY_S
    return Key(file=path.name, used_for=_used_for(path), age_days=round(age, 1), public=public, flaw=flaw)


def _looked_at(path: Path) -> tuple[str, str]:
    """Its public half where it has one, and what is wrong with its content."""
    try:
        if path.suffix == ".nk":
            pair = nkeys.from_seed(bytearray(path.read_bytes().strip()))
            public: str = pair.public_key.decode()
            pair.wipe()
            return public, ""
        if path.name == GATE_KEY:
            key = load_pem_private_key(path.read_bytes(), password=None).public_key()
            return key.public_bytes(Encoding.Raw, PublicFormat.Raw).hex(), ""
    except OSError as error:
        return "", f"cannot be read ({error.strerror})"
    except (nkeys.NkeysError, ValueError, TypeError):
        return "", "is no key"
    return "", "" if path.stat().st_size else "is empty"


def _used_for(path: Path) -> str:
    if path.stem in SERVICES and path.suffix == ".nk":
        return f"{path.stem} on the bus"
    if path.suffix == ".nk" and path.stem not in PEOPLE:
        return f"{path.stem} on the bus (an agent that was plugged in)"
    return _FOR.get(path.name, "not one of ours")


def _table(found: list[Key]) -> RenderableType:
    if not found:
        return Text("no keys yet: the first `bulkhead up` makes them")
    table = Table("file", "for", "days old", "public half", "", box=None, pad_edge=False, header_style="cyan")
    for key in found:
        row = (key.file, key.used_for, f"{key.age_days:.1f}", key.public[:20])
        table.add_row(*map(Text, row), Text(key.flaw, style="bold red"))
    return table
