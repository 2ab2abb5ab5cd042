"""`bulkhead deploy keys | token | rotate | identity | seal | unseal | monitoring | open`: what a deployment in containers needs of us before it starts."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from libs.desk.tokens import SCOPES, Scope, TokenError, TokenStore
from libs.research.certificate import CertificateRefused
from libs.runtime.settings import load_settings
from services.cli.answering import answering, show
from services.cli.deploy.key_files import CONTAINER_UID, give_away, make_keys, token_path
from services.cli.deploy.monitored import write_monitoring
from services.cli.deploy.opening import OpeningSettings, open_deployment
from services.cli.deploy.rotation import finish
from services.cli.deploy.rotation import rotate as change
from services.cli.deploy.sealing import is_memory, new_identity, seal, unseal
from services.cli.exit_codes import CONFIG, POINTER, UNAVAILABLE, Failure
from services.cli.genesis import GenesisError, OtherWorld
from services.cli.monitoring.settings import AlertSettings
from services.cli.options import Json
from services.cli.stack import StackSettings
from services.cli.stack_keys import StackError

app = typer.Typer(
    help="A deployment in containers: its keys, and its log opened.", epilog=POINTER, no_args_is_help=True
)

FOLDER = Path(".bulkhead-deploy")
Folder = Annotated[
    Path, typer.Option("--home", help="Where the deployment's secrets stand, on the machine that deploys.")
]


@app.command(epilog=POINTER)
def keys(
    name: Annotated[
        list[str], typer.Option("--name", help="A further host name or address of the gateway. Repeatable.")
    ] = [],  # noqa: B006
    home: Folder = FOLDER,
    as_json: Json = False,
) -> None:
    """Make every secret that is missing, each for one process; renew certificates that end within a month; keep the rest."""
    with answering(as_json):
        try:
            made = make_keys(home, name)
        except StackError as error:
            raise Failure(CONFIG, str(error), "correct what is named, then try again") from error
        except OSError as error:
            raise Failure(CONFIG, f"{error.filename}: {error.strerror}", "choose another --home") from error
        whose = "" if made.uid != CONTAINER_UID else "; they belong to the containers' user, as root runs nothing"
        words = f"{len(made.new)} new, {made.kept} kept, in {made.folder}{whose}"
        answer = {"folder": made.folder, "new": made.new, "kept": made.kept, "uid": made.uid}
        show({**answer, "folder": str(made.folder)} if as_json else Text(words), as_json)


@app.command(epilog=POINTER)
def token(
    name: Annotated[str, typer.Argument(metavar="NAME", help="After who will hold it; it signs what he orders.")],
    scope: Annotated[list[str], typer.Option("--scope", help="read, operate, admin or alerts. Repeatable.")],
    days: Annotated[int, typer.Option("--days", help="So long it is valid.")] = 90,
    home: Folder = FOLDER,
) -> None:
    """Make a token of the API and the console. It is shown now, and never again; the gateway knows it within a second."""
    with answering(False):
        wanted: tuple[Scope, ...] = tuple(each for each in SCOPES if each in scope)
        if len(wanted) != len(set(scope)):
            raise Failure(CONFIG, f"a scope is one of {', '.join(SCOPES)}", "say what it is for")
        try:
            _, text = TokenStore(token_path(home)).create(name, wanted, days, int(time.time()))
        except TokenError as error:
            raise Failure(CONFIG, str(error), error.cure) from error
        give_away(home)
    typer.echo(text)


@app.command(epilog=POINTER)
def rotate(
    what: Annotated[
        str,
        typer.Argument(
            metavar="WHAT",
            help="A user of the bus (ledger, admin ...), nats-tls, postgres-tls, gateway-tls, database, database-watcher or gate.",
        ),
    ],
    done: Annotated[
        bool, typer.Option("--finish", help="Whoever uses it has the new one: the old one opens nothing any more.")
    ] = False,
    home: Folder = FOLDER,
    as_json: Json = False,
) -> None:
    """Change a secret of a deployment that runs: makes a new one, and says what to do, in order."""
    with answering(as_json):
        try:
            changed = (finish if done else change)(home, what)
        except StackError as error:
            raise Failure(CONFIG, str(error), "correct what is named, then try again") from error
        words = f"new: {', '.join(changed.files)}\nnow, in this order:\n" + "\n".join(
            f"  {each}" for each in changed.steps
        )
        show(changed if as_json else Text(words), as_json)


@app.command(epilog=POINTER)
def identity(
    path: Annotated[
        Path, typer.Argument(metavar="FILE", help="Where the private half goes; keep it off this machine.")
    ],
) -> None:
    """Make a key pair of age for `seal`, and say its public half. `age-keygen` does the same."""
    with answering(False):
        typer.echo(new_identity(path))


@app.command(name="seal", epilog=POINTER)
def seal_all(
    sealed: Annotated[Path, typer.Argument(metavar="FILE", help="The encrypted file; it may lie in version control.")],
    to: Annotated[list[str], typer.Option("--to", help="Whose identity opens it: age1... Repeatable.")],
    home: Folder = FOLDER,
) -> None:
    """Encrypt the deployment's secrets to people's public keys: the form in which they lie on a disk."""
    with answering(False):
        count = seal(home, to, sealed)
        typer.echo(f"{count} files sealed into {sealed}, for {len(to)}")


@app.command(name="unseal", epilog=POINTER)
def unseal_all(
    sealed: Annotated[Path, typer.Argument(metavar="FILE", help="What `seal` wrote.")],
    by: Annotated[Path, typer.Option("--identity", help="The file with the private half.")],
    home: Folder = FOLDER,
) -> None:
    """Open sealed secrets into an empty folder, best one that is memory: then no disk holds them in plain."""
    with answering(False):
        count = unseal(sealed, by, home)
        typer.echo(
            f"{count} files in {home}"
            + ("" if is_memory(home) else ", which is a disk: they lie there in plain (a tmpfs forgets them)")
        )


@app.command(epilog=POINTER)
def monitoring(
    mode: Annotated[str, typer.Option(help="sim, paper or live: on a simulated market prices may be older.")] = "sim",
    home: Folder = FOLDER,
) -> None:
    """Write what the deployment's Prometheus and Alertmanager read, with the thresholds of the settings, and a token for the alerts."""
    with answering(False):
        try:
            missing = write_monitoring(home, load_settings(AlertSettings, strict=False), mode=mode)
        except TokenError as error:
            raise Failure(CONFIG, str(error), error.cure) from error
        typer.echo(f"written below {home}/monitoring")
        for name in missing:
            typer.echo(
                f"not there yet, and yours to put there: {home}/monitoring/alertmanager/secrets/{name} (docs/MONITORING_SETUP.md)"
            )


@app.command(name="open", epilog=POINTER)
def open_all() -> None:
    """Make streams, tables, roles and the book's first event, or say in what they differ. A deployment's first job; again, it changes nothing."""
    with answering(False):
        stack, settings = load_settings(StackSettings), load_settings(OpeningSettings)
        try:
            asyncio.run(open_deployment(stack, settings, typer.echo))
        except (OtherWorld, CertificateRefused) as error:
            raise Failure(CONFIG, str(error), error.cure) from error
        except (StackError, GenesisError) as error:
            raise Failure(UNAVAILABLE, str(error), "see what the bus says, then run it again") from error
