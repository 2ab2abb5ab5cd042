"""The book's equity and drawdown as a picture (PNG). matplotlib is imported when the first one is drawn: it costs a second and 60 MB."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import UTC, datetime

from libs.desk.saying import SECOND_NS

POINTS_MIN = 2
DPI = 100
SIZE_IN = (8.0, 5.0)


def equity_chart(curve: Sequence[tuple[int, float]], title: str) -> bytes:
    """Equity above, drawdown below, over time (ns UTC); b"" where there is no line to draw yet. To be called in a thread."""
    if len(curve) < POINTS_MIN:
        return b""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.figure import Figure

    at = [datetime.fromtimestamp(ts / SECOND_NS, UTC) for ts, _ in curve]
    equity = [value for _, value in curve]
    figure = Figure(figsize=SIZE_IN, dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    above.plot(at, equity, color="#1f6feb", linewidth=1.4)  # type: ignore[arg-type]
    above.set_title(title.replace("$", r"\$"), loc="left", fontsize=10)
    above.set_ylabel("equity")
    fallen = drawdowns(equity)
    below.fill_between(at, [-100 * each for each in fallen], 0, color="#d1242f", alpha=0.4)  # type: ignore[arg-type]
    below.set_ylabel("drawdown %")
    locator = AutoDateLocator()
    below.xaxis.set_major_locator(locator)
    below.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    for each in (above, below):
        each.grid(alpha=0.25)
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()


def drawdowns(equity: Sequence[float]) -> list[float]:
    """How far below its highest value so far it was, as a fraction, at each point."""
    highest, found = float("-inf"), []
    for value in equity:
        highest = max(highest, value)
        found.append((highest - value) / highest if highest > 0 else 0.0)
    return found
