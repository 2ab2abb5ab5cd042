"""`python -m deploy.k8s.generate`: the table and the schema of the chart from the fleet, then the kustomization from the chart.

    services/cli/deploy/fleet.py ──▶ chart/files/fleet.json, chart/values.schema.json ──▶ chart ──▶ base, overlays/{dev,paper,live}; the matrix in docs/KUBERNETES.md

Everything it writes is committed, and tests fail where it is not what would be written now.
"""

from __future__ import annotations

import json
from pathlib import Path

from deploy.k8s import kustomization, matrix
from deploy.k8s.cluster import table
from deploy.k8s.values_schema import values_schema

HERE = Path(__file__).parent
CHART = HERE / "chart"
DEPLOY = HERE.parent
PAGE = DEPLOY.parent / "docs" / "KUBERNETES.md"


def chart_files() -> dict[Path, str]:
    """What of the chart follows from elsewhere: the fleet, and the rules and dashboards that Prometheus and Grafana have here as well."""
    found = {
        CHART / "files" / "fleet.json": json.dumps(table(), indent=1) + "\n",
        CHART / "values.schema.json": json.dumps(values_schema(), indent=1) + "\n",
    }
    for path in sorted((DEPLOY / "prometheus" / "rules").glob("*.yml")):
        found[CHART / "files" / "rules" / path.name] = path.read_text()
    for path in sorted((DEPLOY / "grafana" / "dashboards").glob("*.json")):
        found[CHART / "files" / "dashboards" / path.name] = path.read_text()
    return found


def write(files: dict[Path, str]) -> None:
    """Write them, and make the folders they stand in."""
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        print(f"wrote {path.relative_to(DEPLOY.parent)}, {len(text.splitlines())} lines")


def main() -> None:
    """The chart's files first: the rest is rendered from them."""
    write(chart_files())
    write(kustomization.files(CHART, HERE))
    write({PAGE: matrix.placed(PAGE.read_text())})


if __name__ == "__main__":
    main()
