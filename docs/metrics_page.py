"""docs/metrics.md, from the catalogue of metrics; run by generate.py."""

from __future__ import annotations

from libs.common.metrics import CATALOGUE, CHAPTERS, Declared

HEAD = """\
# Metrics

{written_by}

Every metric that a service exports on `/metrics`, {count} in all. They are declared in `libs/common/metrics` and made from these declarations and nothing
else; a test finds one that nobody makes, and one that neither a rule ([MONITORING_SETUP.md](MONITORING_SETUP.md)) nor a dashboard reads and that no question is told for.

```mermaid
flowchart LR
    declared["declaration<br/>libs/common/metrics"] --> made["series of a service<br/>/metrics"]
    declared --> page["this page"]
    made -- scraped --> prometheus[Prometheus]
    prometheus --> rules["rules<br/>deploy/prometheus"] --> alertmanager[Alertmanager]
    prometheus --> dashboards["dashboards<br/>deploy/grafana"]
    declared -. "held to" .-> rules
    declared -. "held to" .-> dashboards
```

Names follow Prometheus: base units (seconds, bytes, fractions of 1), `_total` for what only grows. `quote` and `base` are amounts of currency. What is not
known has no series: an empty panel means *not known*, a 0 means 0. Beside these every process has `process_*` of its operating system (CPU, memory, open files).
"""


def metrics_page(written_by: str) -> str:
    """The text of `docs/metrics.md`."""
    blocks = [HEAD.format(written_by=written_by, count=len(CATALOGUE))]
    for chapter, metrics in CHAPTERS.items():
        rows = [_row(each) for each in metrics]
        head = [
            "| metric | kind | unit | labels | what it is | how to read it | said by |",
            "|---|---|---|---|---|---|---|",
        ]
        blocks.append(f"## {chapter}\n\n" + "\n".join([*head, *rows]) + "\n")
    asked = [f"- `{each.name}`: {each.question}" for each in CATALOGUE.values() if each.question]
    text = "No rule and no dashboard reads these; each is there for a question that is asked when something is wrong."
    blocks.append("\n".join(["## For a question", "", text, "", *asked]) + "\n")
    return "\n".join(blocks)


def _row(metric: Declared) -> str:
    labels = "<br/>".join(
        f"`{label.name}`: {label.meaning}"
        + (f" ({', '.join(f'`{each}`' for each in label.values)})" if label.values else "")
        for label in metric.labels
    )
    cells = (f"`{metric.name}`", metric.kind, metric.unit, labels, metric.meaning, metric.reading, ", ".join(metric.by))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
