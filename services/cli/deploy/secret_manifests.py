"""Which Secret of a cluster holds which files of `bulkhead deploy keys`: one for each process, with the names of its files and no other.

    <home>/keys/*  ──▶  <release>-<process>-keys   mounted at /state/keys of that process alone

The same table makes the manifests here and names the Secrets in the chart.

    python -m services.cli.deploy.secret_manifests --namespace book | kubectl apply -f -
"""

from __future__ import annotations

import argparse
import base64
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from services.cli.deploy import fleet

NATS, POSTGRES, OPEN = "nats", "postgres", "open"
_BESIDE: dict[str, tuple[str, ...]] = {
    fleet.VENUE: (fleet.VENUE_KEY, fleet.VENUE_SECRET),
    NATS: (fleet.NATS_CONF, fleet.NATS_CERT, fleet.NATS_KEY),
    POSTGRES: (fleet.DATABASE_CERT, fleet.DATABASE_KEY, fleet.OWNER_PASSWORD),
    OPEN: ("admin.nk", "cli.nk", "observer.nk", fleet.NATS_CA, fleet.OWNER_URL, fleet.DATABASE_URL, fleet.DATABASE_CA),
    fleet.CLI: ("cli.nk", "observer.nk", fleet.NATS_CA),
}
"""Who is not a member of the fleet and has secrets all the same: the servers, the job that opens the deployment, an operator's pod."""


class FilesMissing(Exception):
    """The folder lacks files that a Secret needs; the text names them."""


def files_of_each() -> dict[str, tuple[str, ...]]:
    """The files of each process, by its name."""
    return {**{each.service: each.keys for each in fleet.members()}, **_BESIDE}


def secret_name(release: str, process: str) -> str:
    """What the Secret of a process is called."""
    return f"{release}-{process}-keys"


def tokens_name(release: str) -> str:
    """What the Secret with the digests of the API's tokens is called; it may be missing, then nobody gets in."""
    return f"{release}-gateway-tokens"


def manifests(home: Path, release: str, namespace: str) -> str:
    """Every Secret as one stream of JSON documents, for `kubectl apply -f -`. Whoever prints it shows secrets.

    Raises:
        FilesMissing: `bulkhead deploy keys` has not run, or not all of it.
        OSError: a file cannot be read.
    """
    return "".join(f"---\n{json.dumps(each, indent=1)}\n" for each in _secrets(home, release, namespace))


def _secrets(home: Path, release: str, namespace: str) -> Iterator[dict[str, Any]]:
    wanted = files_of_each()
    missing = sorted({name for names in wanted.values() for name in names if not (home / "keys" / name).is_file()})
    if missing:
        raise FilesMissing(f"{home / 'keys'} lacks {', '.join(missing)}; run `bulkhead deploy keys --home {home}`")
    for process, names in wanted.items():
        paths = [home / "keys" / name for name in names]
        yield _secret(secret_name(release, process), namespace, release, paths)
    tokens = home / "tokens" / Path(fleet.API_TOKENS).name
    if tokens.is_file():
        yield _secret(tokens_name(release), namespace, release, [tokens])


def _secret(name: str, namespace: str, release: str, paths: list[Path]) -> dict[str, Any]:
    labels = {"app.kubernetes.io/part-of": "bulkhead", "app.kubernetes.io/instance": release}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "type": "Opaque",
        "data": {path.name: base64.b64encode(path.read_bytes()).decode() for path in paths},
    }


def main() -> int:
    """Print them; on a terminal it refuses, because secrets would stay in its scrollback."""
    parser = argparse.ArgumentParser(description="Every Secret of a release, for `kubectl apply -f -`.")
    parser.add_argument("--home", type=Path, default=Path(".bulkhead-deploy"))
    parser.add_argument("--release", default="bulkhead")
    parser.add_argument("--namespace", required=True)
    given = parser.parse_args()
    if sys.stdout.isatty():
        print("these are secrets; pipe them into `kubectl apply -f -`", file=sys.stderr)
        return 2
    try:
        sys.stdout.write(manifests(given.home, given.release, given.namespace))
    except (FilesMissing, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
