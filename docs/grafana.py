"""The dashboards as Grafana's classic JSON, from services/cli/monitoring/boards.py by Grafana's own builders; run by generate.py."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote

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
        .link(_way("Logs", LOGS))
        .link(_way("Traces", TRACES))
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


def explored(source: str, query: dict[str, str]) -> str:
    """The address of Grafana's page for looking around, at what a dashboard shows just now: a source by its uid, and the question to it."""
    asked = {"refId": "A", "datasource": {"type": source, "uid": source}, **query}
    pane = {"datasource": source, "queries": [asked], "range": {"from": "${__from}", "to": "${__to}"}}
    text = quote(json.dumps({"a": pane}, separators=(",", ":")))
    return "/explore?schemaVersion=1&orgId=1&panes=" + re.sub(r"%24%7B([\w.]+)%7D", r"${\1}", text)


LOGS = explored("loki", {"expr": '{level=~"warning|error|critical"}'})
LOGS_OF_SERVICE = explored("loki", {"expr": '{service="${__field.labels.service}"}'})
TRACES = explored("tempo", {"queryType": "traceql", "query": '{name="publish ExecutionReport"}'})


def _way(title: str, url: str) -> dashboard.DashboardLink:
    """A way from here to lines or traces of the same time."""
    return dashboard.DashboardLink(title).type(models.DashboardLinkType.LINK).url(url).target_blank(True)


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
        if query.has_exemplars:
            target = target.exemplar(True)
        built = built.with_target(target.datasource(SOURCE))
    if panel.names_services:
        built = built.data_links([_way("Logs of ${__field.labels.service}", LOGS_OF_SERVICE)])
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
    jsonData:
      timeInterval: 5s
      httpMethod: POST
      exemplarTraceIdDestinations: [{name: trace_id, datasourceUid: tempo, urlDisplayLabel: its trace}]
""",
    "provisioning/datasources/loki.yaml": """\
apiVersion: 1
datasources:
  - name: Loki
    uid: loki
    type: loki
    access: proxy
    url: http://loki:3100
    editable: false
    jsonData:
      maxLines: 1000
      derivedFields:
        - {name: trace_id, matcherRegex: '"trace_id":"([0-9a-f]{32})"', url: "$${__value.raw}", datasourceUid: tempo, urlDisplayLabel: its trace}
""",
    "provisioning/datasources/tempo.yaml": """\
apiVersion: 1
datasources:
  - name: Tempo
    uid: tempo
    type: tempo
    access: proxy
    url: http://tempo:3200
    editable: false
    jsonData:
      nodeGraph: {enabled: true}
      tracesToLogsV2:
        datasourceUid: loki
        spanStartTimeShift: -5m
        spanEndTimeShift: 5m
        customQuery: true
        query: '{env=~".+"} |= "$${__trace.traceId}"'
      tracesToMetrics:
        datasourceUid: prometheus
        spanStartTimeShift: -5m
        spanEndTimeShift: 5m
        tags: [{key: service.name, value: service}]
        queries:
          - {name: time to handle an input (p99), query: 'histogram_quantile(0.99, sum by (le) (rate(bulkhead_handle_seconds_bucket{$$__tags}[5m])))'}
          - {name: time of an append (p99), query: 'histogram_quantile(0.99, sum by (le) (rate(bulkhead_append_seconds_bucket{$$__tags}[5m])))'}
          - {name: inputs that wait, query: 'bulkhead_log_lag{$$__tags}'}
""",
    "provisioning/dashboards/bulkhead.yaml": """\
apiVersion: 1
providers:
  - name: bulkhead
    folder: Bulkhead
    type: file
    disableDeletion: true
    allowUiUpdates: false
    options: {path: /etc/bulkhead/dashboards}
""",
}
"""What Grafana reads when it starts: where metrics, lines and traces are and how one leads to the other, and which folder the dashboards are in. A doubled
dollar is a dollar: a single one would be a variable of Grafana's own environment."""
