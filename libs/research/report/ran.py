"""What was run: enough to run it again and get the same."""

from __future__ import annotations

from libs.research.report.charts import Section
from libs.research.report.markup import pairs, paragraph, table
from libs.research.report.words import money, plural, price, utc
from libs.research.result import BacktestResult, SeriesUsed

REPAIRS_SHOWN_MAX = 5


def section(result: BacktestResult) -> Section:
    """Series, costs, digests."""
    model = result.model
    terms = [
        ("cash at the beginning", f"{money(result.cash)} {result.quote}"),
        ("digest of all that was decided", result.digest),
        ("digest of the settings", result.settings_digest),
        ("code version", result.code_version),
    ]
    costs = [
        ("half spread", f"{price(model.half_spread_bps)} bp"),
        ("slippage of a taker", f"{price(model.slip_bps)} bp"),
        ("impact of the whole volume", f"{price(model.impact_bps)} bp"),
        ("our share of the volume, at most", f"{price(model.participation_max * 100)} %"),
        ("delay of an order", f"{model.latency_ms:,} ms"),
    ]
    rows = [
        (
            each.instrument,
            each.timeframe,
            f"{each.bars:,}",
            utc(each.first_ts_open),
            utc(each.end_ts),
            each.digest,
            _repairs(each),
        )
        for each in result.series
    ]
    columns = ("instrument", "timeframe", "bars", "from (UTC)", "to (UTC)", "digest", "repairs")
    return Section(
        "ran",
        "What was run",
        (
            pairs(terms),
            table("Series", columns, rows, words=(1, 3, 4, 5, 6)),
            paragraph("The fill model: how much worse than the bars say an order is filled. Fees come on top.", "soft"),
            pairs(costs),
        ),
    )


def _repairs(series: SeriesUsed) -> str:
    shown, more = series.repairs[:REPAIRS_SHOWN_MAX], len(series.repairs) - REPAIRS_SHOWN_MAX
    if not shown:
        return "none"
    return "; ".join(shown) + (f"; and {plural(more, 'more repair')}" if more > 0 else "")
