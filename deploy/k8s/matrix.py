"""The network of a deployment as a table for people, from the same statement that the tests hold the policies against."""

from __future__ import annotations

from collections.abc import Iterable

from deploy.k8s.cluster import CONSOLE, DNS, MODES, OUTSIDE, SCRAPER, Reach, reaches
from services.cli.deploy import fleet
from services.cli.deploy.secret_manifests import NATS, OPEN, POSTGRES

BEGIN, END = "<!-- the matrix: written by `python -m deploy.k8s.generate` -->", "<!-- end of the matrix -->"
WORDS = {OUTSIDE: "the internet", CONSOLE: "`network.console`", SCRAPER: "`network.scrapers`"}
HEAD = "| process | zone | always | on a simulated market, too | on paper, too | live, too |\n|---|---|---|---|---|---|"


def table() -> str:
    """One row for each process that may open a connection: where to, in every mode and in each besides. Names of the cluster are left out, all may ask for them."""
    found = {mode: [each for each in reaches(mode, nats_servers=3) if each.target != DNS] for mode in MODES}
    zones = {each.service: each.zone.value for each in fleet.members()}
    names = [*zones, fleet.VENUE, OPEN, fleet.CLI, fleet.BACKUP, NATS, POSTGRES, SCRAPER, CONSOLE]
    rows = []
    for name in names:
        by_mode = [{each for each in found[mode] if each.source == name} for mode in MODES]
        always = set.intersection(*by_mode)
        cells = [_cell(always) or "nobody", *(_cell(each - always) for each in by_mode)]
        rows.append(f"| {WORDS.get(name, f'`{name}`')} | {zones.get(name, '')} | {' | '.join(cells)} |")
    return "\n".join([HEAD, *rows])


def _cell(found: Iterable[Reach]) -> str:
    """Whom, grouped by port; every service's health page is one word."""
    members = {each.service for each in fleet.members()}
    by_port: dict[int, set[str]] = {}
    for each in found:
        by_port.setdefault(each.port, set()).add(each.target)
    parts = []
    for port, targets in sorted(by_port.items()):
        if len(targets & members) > 3:
            parts.append(f"every service:{port}")
            targets = targets - members
        parts += [f"{WORDS.get(target, f'`{target}`')}:{port}" for target in sorted(targets)]
    return ", ".join(parts)


def placed(page: str) -> str:
    """The page with the table between its marks."""
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n\n{table()}\n\n{END}{tail}"
