"""Draws the dashboards as docs/img/dashboard-*.png from a running stack's own answers: `python -m tests.dashboards [MINUTES]`.

Not Grafana's pictures: the same panels and queries, answered by a real Prometheus that scrapes a stack for some minutes, drawn with matplotlib.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import matplotlib

from services.cli.monitoring.boards import BOARDS
from services.cli.monitoring.panels import Board, Panel
from tests.monitored import Watched, missing, monitored

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

FOLDER = Path(__file__).parents[1] / "docs" / "img"
LABELS_MAX = 8
CELL_IN = 0.62
COLUMNS = 24
Answered = list[tuple[str, list[dict[str, Any]]]]


async def answers_of(watched: Watched, panel: Panel, seconds: float) -> Answered:
    """Each query's legend with its series over the last `seconds`."""
    return [(query.legend, await watched.course(query.expr, seconds)) for query in panel.queries]


def draw(board: Board, answers: dict[str, Answered], path: Path) -> None:
    """One dashboard, its panels where Grafana has them, from their answers by title."""
    places, height = placed(board)
    tall_in = height * CELL_IN * 0.62 + 0.8
    figure = plt.figure(figsize=(COLUMNS * CELL_IN, tall_in), dpi=80)
    figure.suptitle(board.title, x=0.01, y=1 - 0.15 / tall_in, ha="left", fontsize=13, fontweight="bold")
    grid = figure.add_gridspec(
        height, COLUMNS, left=0.035, right=0.99, top=1 - 0.8 / tall_in, bottom=0.02, hspace=1.5, wspace=3.0
    )
    for panel, (x, y, w, h) in places:
        axes = figure.add_subplot(grid[y : y + h - 1, x : x + w])  # a line between, for what stands below an axis
        axes.set_title(panel.title, fontsize=8, loc="left")
        (_numbers if panel.shape == "stat" else _courses)(axes, panel, answers[panel.title])
    figure.savefig(path)
    plt.close(figure)


def placed(board: Board) -> tuple[list[tuple[Panel, tuple[int, int, int, int]]], int]:
    """Each panel's cell: left, top, width, height; and the height of all."""
    found, top = [], 0
    for row in board.rows:
        x = height = 0
        for panel in row.panels:
            if x + panel.width > COLUMNS:
                x, top, height = 0, top + height, 0
            own = 4 if panel.shape == "stat" else 8
            found.append((panel, (x, top, panel.width, own)))
            x, height = x + panel.width, max(height, own)
        top += height
    return found, top


def _legend(text: str, labels: dict[str, str]) -> str:
    for name, value in labels.items():
        text = text.replace(f"{{{{{name}}}}}", value)
    return text


def _shown(panel: Panel, value: float) -> str:
    if panel.states and int(value) in panel.states:
        return panel.states[int(value)]
    match panel.unit:
        case "percentunit":
            return f"{value * 100:.3g} %"
        case "bytes":
            return f"{value / 1e9:.1f} GB" if value >= 1e9 else f"{value / 1e6:.0f} MB"
        case "s":
            return f"{value:.3g} s"
    return f"{value:,.4g}" if abs(value) < 1e5 else f"{value:,.0f}"


def _numbers(axes: Axes, panel: Panel, answered: Answered) -> None:
    axes.set_axis_off()
    (legend, series), *_ = answered
    last = [(_legend(legend, each["metric"]), float(each["values"][-1][1])) for each in series]
    last = [(name, value) for name, value in last if value == value]
    if not last:
        axes.text(
            0.5, 0.5, panel.empty_is_good or "no data", ha="center", va="center", fontsize=7, color="grey", wrap=True
        )
    elif "{{" in legend and not panel.states:
        axes.text(0.5, 0.5, "\n".join(name for name, _ in last), ha="center", va="center", fontsize=13, color="green")
    elif len(last) == 1:
        axes.text(0.5, 0.5, _shown(panel, last[0][1]), ha="center", va="center", fontsize=17, color="green")
    else:
        words = [f"{name} {_shown(panel, value)}" for name, value in last]
        text = "\n".join("   ".join(words[place : place + 4]) for place in range(0, len(words), 4))
        axes.text(0.5, 0.5, text, ha="center", va="center", fontsize=7, color="green")


def _courses(axes: Axes, panel: Panel, answered: Answered) -> None:
    named = [(_legend(legend, each["metric"]), each["values"]) for legend, series in answered for each in series]
    for name, values in named:
        axes.plot([datetime.fromtimestamp(at, UTC) for at, _ in values], [float(value) for _, value in values], label=name, linewidth=1)  # fmt: skip
    if not named:
        axes.text(0.5, 0.5, panel.empty_is_good or "no data", ha="center", va="center", fontsize=7, color="grey", transform=axes.transAxes)  # fmt: skip
        axes.set_xticks([])
        axes.set_yticks([])
        return
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _shown(panel, value)))
    axes.xaxis.set_major_formatter(matplotlib.dates.DateFormatter("%H:%M"))  # type: ignore[attr-defined]
    axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(4))  # type: ignore[attr-defined]
    axes.tick_params(labelsize=6)
    axes.grid(alpha=0.3)
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles[:LABELS_MAX], labels[:LABELS_MAX], fontsize=5, loc="upper left", ncols=2, framealpha=0.5)


async def main(minutes: float) -> None:
    """Run a stack for so long, ask, draw."""
    with tempfile.TemporaryDirectory() as folder:
        async with monitored(Path(folder)) as watched:
            await asyncio.sleep(minutes * 60)
            for board in BOARDS:
                answers = {each.title: await answers_of(watched, each, minutes * 60) for each in board.panels}
                path = FOLDER / f"dashboard-{board.file.replace('_', '-')}.png"
                draw(board, answers, path)
                print(f"wrote {path.name}", flush=True)


if __name__ == "__main__":
    if reason := missing():
        sys.exit(reason)
    asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else 5.0))
