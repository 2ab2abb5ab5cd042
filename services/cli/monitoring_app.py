"""`bulkhead monitoring`: the configuration of Prometheus and Alertmanager for the stack on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer
from rich.text import Text

from libs.runtime.settings import SettingsError, load_settings
from services.cli.answering import answering, show
from services.cli.exit_codes import CONFIG, Failure
from services.cli.monitoring.files import rule_files
from services.cli.monitoring.routing import TELEGRAM_API, alertmanager_config
from services.cli.monitoring.scraping import on_this_machine
from services.cli.monitoring.settings import AlertSettings, on_market
from services.cli.options import Home, Json
from services.cli.place import Place, find_place
from services.cli.stack import CONSOLE_PORT


def monitoring(
    ctx: typer.Context,
    to: Annotated[Path, typer.Option("--to", help="The folder that the files go to.")] = Path("monitoring"),
    prometheus: Annotated[str, typer.Option(help="Where Prometheus will listen.")] = "127.0.0.1:9090",
    alertmanager: Annotated[str, typer.Option(help="Where Alertmanager will listen.")] = "127.0.0.1:9093",
    secrets: Annotated[
        Path | None, typer.Option(help="The folder with Alertmanager's secrets (default: `secrets` beside the files).")
    ] = None,
    telegram_api: Annotated[str, typer.Option(help="The root of the Bot API.")] = TELEGRAM_API,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Write prometheus.yml, its rules and alertmanager.yml for the stack on this machine, with the thresholds of its settings."""
    with answering(as_json):
        place = find_place(home or ctx.obj)
        try:
            settings = load_settings(AlertSettings, strict=False)
        except SettingsError as error:
            raise Failure(CONFIG, str(error), "see docs/MONITORING_SETUP.md") from None
        folder = to.absolute()
        texts = files_for(
            place,
            settings,
            folder=folder,
            prometheus=prometheus,
            alertmanager=alertmanager,
            secrets=(secrets or folder / "secrets").absolute(),
            telegram_api=telegram_api,
        )
        for name, text in texts.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    commands = (
        f"prometheus --config.file={folder}/prometheus.yml --storage.tsdb.path={folder}/data --web.listen-address={prometheus} --enable-feature=exemplar-storage",
        f"alertmanager --config.file={folder}/alertmanager.yml --storage.path={folder}/silences --web.listen-address={alertmanager} --cluster.listen-address=",
    )
    if as_json:
        show({"files": sorted(texts), "commands": list(commands)}, as_json)
        return
    show(Text("\n".join([f"wrote {len(texts)} files into {folder}; start with", *commands])), as_json)


def files_for(
    place: Place,
    settings: AlertSettings,
    *,
    folder: Path,
    prometheus: str,
    alertmanager: str,
    secrets: Path,
    telegram_api: str = TELEGRAM_API,
) -> dict[str, str]:
    """The texts of all files by their names in `folder`; on a simulated market prices may be older, unless a setting says how old."""
    settings = on_market(settings, place.mode)
    pages = {name: urlsplit(url).netloc for name, url in place.services.items()}
    return {
        "prometheus.yml": on_this_machine(
            pages, str(folder / "rules" / "*.yml"), alertmanager=alertmanager, itself=prometheus
        ),
        "alertmanager.yml": alertmanager_config(
            settings, gateway=gateway_of(place), secrets=str(secrets), telegram_api=telegram_api
        ),
        **{f"rules/{name}": text for name, text in rule_files(settings).items()},
    }


def gateway_of(place: Place) -> str:
    """The root of the gateway's API: the port that it wrote down, else where a console is looked for."""
    try:
        port = int((place.home / "gateway" / "port").read_text())
    except (OSError, ValueError):
        port = CONSOLE_PORT
    return f"http://127.0.0.1:{port}"
