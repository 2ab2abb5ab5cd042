"""The dashboards as Grafana's classic JSON, from services/cli/monitoring/boards.py by Grafana's own builders; run by generate.py."""

from __future__ import annotations

from typing import Any

from grafana_foundation_sdk.builders import common, dashboard, prometheus, timeseries
from grafana_foundation_sdk.builders import stat as stats
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as shapes
from grafana_foundation_sdk.models import dashboard as models

from services.cli.monitoring.boards import BOARDS
from services.cli.monitoring.panels import Board, Panel

VARIABLE = "datasource"
SOURCE = models.DataSourceRef(type_val="prometheus", uid=f"${{{VARIABLE}}}")
GREEN, RED = "green", "red"
HEIGHTS = {"timeseries": 8, "stat": 4}
WIDTH = 24


def dashboards() -> dict[str, str]:
    """The text of each dashboard by its file."""
    return {
        f"{board.file}.json": JSONEncoder(indent=1, sort_keys=True).encode(_board(board)) + "\n" for board in BOARDS
    }


def _board(board: Board) -> Any:
    source = dashboard.DatasourceVariable(VARIABLE).label("Prometheus").type("prometheus")
    others = dashboard.DashboardLink("Bulkhead").type(models.DashboardLinkType.DASHBOARDS).tags(["bulkhead"])
    others = others.as_dropdown(True).keep_time(True)
    built = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .description(board.description)
        .tags(["bulkhead"])
        .timezone("utc")
        .refresh("10s")
        .time("now-1h", "now")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .readonly()
        .with_variable(source)
        .link(
            dashboard.DashboardLink("Bulkhead")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags(["bulkhead"])
            .as_dropdown(True)
            .keep_time(True)
        )
    )
    y = number = 0
    for row in board.rows:
        number += 1
        built = built.with_row(dashboard.Row(row.title).id(number).grid_pos(_at(0, y, WIDTH, 1)))
        y += 1
        x = height = 0
        for panel in row.panels:
            if x + panel.width > WIDTH:
                x, y, height = 0, y + height, 0
            number += 1
            height = max(height, HEIGHTS[panel.shape])
            built = built.with_panel(_panel(panel).id(number).grid_pos(_at(x, y, panel.width, HEIGHTS[panel.shape])))
            x += panel.width
        y += height
    return built.build()


def _at(x: int, y: int, width: int, height: int) -> models.GridPos:
    return models.GridPos(x=x, y=y, w=width, h=height)


def _panel(panel: Panel) -> Any:
    empty = f" Empty while {panel.empty_is_good}." if panel.empty_is_good else ""
    built: Any = _stat(panel) if panel.shape == "stat" else _lines(panel)
    built = built.title(panel.title).description(panel.description + empty).unit(panel.unit).datasource(SOURCE)
    if panel.empty_is_good:
        built = built.no_value(panel.empty_is_good)
    if panel.states:
        words = {str(value): models.ValueMappingResult(text=word) for value, word in panel.states.items()}
        built = built.mappings([models.ValueMap(options=words)])
    for place, query in enumerate(panel.queries):
        target = prometheus.Dataquery().expr(query.expr).legend_format(query.legend).ref_id(chr(ord("A") + place))
        built = built.with_target(target.datasource(SOURCE))
    return built


def _lines(panel: Panel) -> timeseries.Panel:
    legend = common.VizLegendOptions().show_legend(True).display_mode(shapes.LegendDisplayMode.LIST)
    return (
        timeseries.Panel()
        .legend(legend.placement(shapes.LegendPlacement.BOTTOM))
        .tooltip(common.VizTooltipOptions().mode(shapes.TooltipDisplayMode.MULTI))
        .fill_opacity(8)
    )


def _stat(panel: Panel) -> stats.Panel:
    steps = [models.Threshold(value=None, color=GREEN)]
    if panel.red_above is not None:
        steps.append(models.Threshold(value=panel.red_above, color=RED))
    if panel.red_below is not None:
        steps = [models.Threshold(value=None, color=RED), models.Threshold(value=panel.red_below, color=GREEN)]
    named = "{{" in panel.queries[0].legend
    return (
        stats.Panel()
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .text_mode(shapes.BigValueTextMode.NAME if named and not panel.states else shapes.BigValueTextMode.AUTO)
        .thresholds(dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps))
    )


PROVISIONED = {
    "provisioning/datasources/prometheus.yaml": """\
apiVersion: 1
datasources:
  - name: Prometheus
    uid: prometheus
    type: prometheus
    access: proxy
    url: http://prometheus:9090
    isDefault: true
    editable: false
    jsonData: {timeInterval: 5s, httpMethod: POST}
""",
    "provisioning/dashboards/bulkhead.yaml": """\
apiVersion: 1
providers:
  - name: bulkhead
    folder: Bulkhead
    type: file
    disableDeletion: true
    allowUiUpdates: false
    options: {path: /var/lib/grafana/dashboards}
""",
}
"""What Grafana reads when it starts: where Prometheus is, and which folder the dashboards are in."""
