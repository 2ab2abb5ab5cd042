"""What did not happen and why, what was alerted, and how much was said."""

from __future__ import annotations

from collections.abc import Mapping

from libs.research.report.charts import Section
from libs.research.report.markup import paragraph, table
from libs.research.result import BacktestResult


def section(result: BacktestResult) -> Section:
    """Three tables of counts."""
    return Section(
        "refusals",
        "Denials and alerts",
        (
            _counts(
                "Denials by reason (a wish may be denied for several)", "reason", result.denials, "No wish was denied."
            ),
            _counts("Alerts", "alert", result.alerts, "Nothing was alerted."),
            _counts("What the digest covers", "message", result.counts, "Nothing was decided."),
        ),
    )


def _counts(caption: str, name: str, counts: Mapping[str, int], otherwise: str) -> str:
    if not counts:
        return paragraph(otherwise)
    rows = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    return table(caption, (name, "times"), [(each, f"{count:,}") for each, count in rows])
