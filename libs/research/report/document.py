"""The page: its sections in order, and everything it needs inside it.

Nothing is loaded from anywhere and no script runs but the two that are ours: the page's own policy names them by their digest, so that even a name
that found a way through the escaping could neither run nor call anybody.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from functools import cache
from html import escape
from pathlib import Path

import msgspec

from libs.research.report import attribution, curves, figures, months, prices, ran, refusals, sensitivity
from libs.research.report.charts import Chart, Section
from libs.research.report.look import SCRIPT, STYLE
from libs.research.report.markup import paragraph, text
from libs.research.report.words import plural, signed_percent
from libs.research.result import BacktestResult


def write_report(result: BacktestResult, path: Path) -> None:
    """Write the page to `path`, whole or not at all.

    Raises:
        OSError: it cannot be written there.
    """
    beside = path.with_name(path.name + ".part")
    try:
        beside.write_text(page(result), encoding="utf-8", newline="\n")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def page(result: BacktestResult) -> str:
    """The whole page. The same result gives the same text."""
    sections = sections_of(result)
    names = ", ".join(each.instrument for each in result.series[:3]) + (" and more" if len(result.series) > 3 else "")
    title = text(f"Backtest of {names}" if names else "Backtest")
    links = "".join(f'<li><a href="#{each.key}">{escape(each.title)}</a></li>' for each in sections)
    drawn = {part.key: part for each in sections for part in each.parts if isinstance(part, Chart)}
    data = {key: {"data": chart.data, "layout": chart.layout} for key, chart in drawn.items()}
    script = _plotly()
    return "".join(
        (
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_policy(script, SCRIPT)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{title}</title><style>{STYLE}</style></head>\n<body><header><h1>{title}</h1>{_lead(result)}",
            f'<nav aria-label="Sections"><ul>{links}</ul></nav></header>\n<main>\n',
            *(_section(each) for each in sections),
            "</main>\n<noscript><p>The charts need JavaScript; the tables do not.</p></noscript>\n",
            f'<script type="application/json" id="charts">{_json(data)}</script>\n',
            f"<script>{script}</script>\n<script>{SCRIPT}</script>\n</body></html>\n",
        )
    )


def sections_of(result: BacktestResult) -> list[Section]:
    """The parts of the page, in order."""
    return [
        ran.section(result),
        figures.section(result),
        curves.section(result),
        prices.section(result),
        months.section(result),
        sensitivity.section(result),
        attribution.section(result),
        refusals.section(result),
    ]


def _lead(result: BacktestResult) -> str:
    trades = result.record.trades
    total = float(result.equity_final / result.cash) - 1.0 if result.cash else float("nan")
    words = (
        f"{signed_percent(total)} in {plural(result.record.days, 'full day')}, {plural(trades.count, 'round trip')}."
    )
    if not trades.count:
        words += " Nothing was bought and sold again: there is little that this page can say."
    return paragraph(words, "lead") + paragraph(
        "A backtest is what rules would have done to prices that are known by now. It is no promise; all times are UTC.",
        "soft",
    )


def _section(section: Section) -> str:
    parts = "\n".join(part if isinstance(part, str) else _place(part) for part in section.parts)
    return f'<section id="{section.key}" aria-labelledby="{section.key}-title"><h2 id="{section.key}-title">{escape(section.title)}</h2>\n{parts}\n</section>\n'


def _place(chart: Chart) -> str:
    return (
        f'<figure><div class="chart" id="{chart.key}" role="img" aria-label="{escape(chart.label)}" style="height:{chart.height}px"></div>'
        f"<figcaption>{escape(chart.label)}</figcaption></figure>"
    )


def _json(data: dict[str, object]) -> str:
    """As JSON that no HTML parser finds an end in, whatever stands in its strings."""
    found = msgspec.json.encode(data).decode()
    return found.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _policy(*scripts: str) -> str:
    digests = " ".join(f"'sha256-{b64encode(hashlib.sha256(each.encode()).digest()).decode()}'" for each in scripts)
    return f"default-src 'none'; script-src {digests}; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"


@cache
def _plotly() -> str:
    # imported only where a page is made: everything that starts the command line would pay for it
    from plotly.offline import get_plotlyjs

    # a browser reads \r\n in a page as \n, and the digest is of what it reads
    found = str(get_plotlyjs()).replace("\r\n", "\n").replace("\r", "\n")
    if "</script" in found.lower() or "<!--" in found:
        raise ValueError("plotly's script cannot stand inside a page: it holds the end of one")
    return found
