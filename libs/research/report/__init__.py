"""The report of a backtest: one HTML file that needs nothing beside it, the same bytes for the same result.

    document      the page: its sections in order, the charts' data, plotly inside it, and a policy that lets nothing be loaded
    ran           what was run: series, fill model, digests
    figures       what came of it, with intervals; wishes with the chance that they are true
    curves        equity and drawdown
    prices        each instrument's price with round trips, planned exits and zones
    months        returns by month
    sensitivity   the same under other costs and later orders
    attribution   results by agent, instrument, regime, hour and reason; the largest winners and losers
    refusals      what was denied, and what was alerted
    charts, markup, words, look    a chart, HTML, numbers in words, style and script

Whatever comes from data (names, reasons, file names) is text and never markup: `markup` escapes it for HTML, `charts.label` for plotly, whose labels
know tags of their own. What is not known is said so; NaN stands nowhere.
"""

from libs.research.report.document import page, write_report

__all__ = ["page", "write_report"]
