"""Where lines and traces go, and how one leads to the other: the files that Loki, Alloy, Tempo and Grafana read, held against what services write."""

from __future__ import annotations

import io
import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from libs.common.metrics import CATALOGUE
from libs.runtime import logs
from libs.runtime.tracing import trace_id_of
from tests.style.tree import ROOT

DEPLOY = ROOT / "deploy"
SOURCES = DEPLOY / "grafana" / "provisioning" / "datasources"
BOARDS = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))
LABELS = ["service", "level", "env"]
PAGE = (ROOT / "docs" / "MONITORING_SETUP.md").read_text()


def read(*names: str) -> dict[str, Any]:
    """A file below deploy/."""
    found: dict[str, Any] = yaml.safe_load(DEPLOY.joinpath(*names).read_text())
    return found


def source(name: str) -> dict[str, Any]:
    """What Grafana is told of a source."""
    (found,) = yaml.safe_load((SOURCES / f"{name}.yaml").read_text())["datasources"]
    assert isinstance(found, dict)
    return found


def a_line() -> dict[str, Any]:
    """A line as services write it, in a story, as text and as what it says."""
    out = io.StringIO()
    log = logs.configure("ledger", "info", out)
    with logs.bind("story"):
        log.warning("something")
    return {"text": out.getvalue(), "said": json.loads(out.getvalue())}


def hours(text: str) -> timedelta:
    """A duration as Loki and Tempo write it here."""
    assert text.endswith("h")
    return timedelta(hours=int(text.removesuffix("h")))


def test_sources_have_names_that_never_change() -> None:
    """Links name a source by its uid, so it is never another one's, and nobody changes it by hand."""
    files = sorted(path.stem for path in SOURCES.glob("*.yaml"))
    assert files == ["loki", "prometheus", "tempo"]
    for name in files:
        found = source(name)
        assert (found["uid"], found["type"], found["editable"]) == (name, name, False)
        assert urlsplit(found["url"]).hostname == name


def test_an_example_of_a_histogram_leads_to_its_trace() -> None:
    """By the name under which services give it."""
    (way,) = source("prometheus")["jsonData"]["exemplarTraceIdDestinations"]
    assert (way["name"], way["datasourceUid"]) == ("trace_id", "tempo")


def test_a_line_leads_to_its_trace() -> None:
    """What Loki finds in a real line of ours is the trace id, and what Grafana is told to do with it survives Grafana's reading of variables."""
    (field,) = source("loki")["jsonData"]["derivedFields"]
    found = re.search(field["matcherRegex"], a_line()["text"])
    assert found is not None
    assert found[1] == trace_id_of("story")
    assert (field["datasourceUid"], field["url"]) == ("tempo", "$${__value.raw}")


def test_a_span_leads_to_its_lines_and_its_metrics() -> None:
    """To every service's lines of that trace by its id in the body; and to that service's numbers, by metrics that there are."""
    told = source("tempo")["jsonData"]
    query = told["tracesToLogsV2"]["query"].replace("$$", "$")
    assert told["tracesToLogsV2"]["datasourceUid"] == "loki"
    assert query == '{env=~".+"} |= "${__trace.traceId}"'
    assert told["tracesToMetrics"]["datasourceUid"] == "prometheus"
    assert told["tracesToMetrics"]["tags"] == [{"key": "service.name", "value": "service"}]
    for each in told["tracesToMetrics"]["queries"]:
        (metric,) = re.findall(r"bulkhead_\w+", each["query"])
        declared = CATALOGUE[metric.removesuffix("_bucket")]
        assert "service" in declared.label_names
        assert "$$__tags" in each["query"]


def test_lines_are_kept_for_a_fortnight_and_traces_for_three_days() -> None:
    """As the page says; and something deletes them: Loki without its compactor would keep all for ever."""
    loki, tempo = read("loki", "loki.yaml"), read("tempo", "tempo.yaml")
    assert hours(loki["limits_config"]["retention_period"]) == timedelta(days=14)
    assert loki["compactor"]["retention_enabled"] is True
    assert loki["compactor"]["delete_request_store"] == "filesystem"
    assert hours(tempo["compactor"]["compaction"]["block_retention"]) == timedelta(days=3)
    assert re.search(r"log lines \| 14 days", PAGE)
    assert re.search(r"traces \| 3 days", PAGE)


def test_ids_never_become_labels() -> None:
    """Alloy keeps three labels, and Loki refuses a fourth: a label of an id would be a stream for each story."""
    text = (DEPLOY / "alloy" / "lines.alloy").read_text()
    (kept,) = re.findall(r"stage\.label_keep \{\s*values = (\[.*?\])", text, re.DOTALL)
    assert json.loads(kept) == LABELS
    assert read("loki", "loki.yaml")["limits_config"]["max_label_names_per_series"] == len(LABELS)
    assert read("loki", "loki.yaml")["limits_config"]["discover_service_name"] == []


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error", "critical", "INFO", "x" * 40, ""])
def test_a_level_is_one_of_ours(level: str) -> None:
    """Whoever writes a line cannot make a label of it: only the words that our logging has."""
    text = (DEPLOY / "alloy" / "lines.alloy").read_text()
    (expression,) = re.findall(r'expression = "(\^\(\?P<level>.*?)"', text)
    assert bool(re.fullmatch(expression, level)) is (level in ("debug", "info", "warning", "error", "critical"))
    assert re.fullmatch(expression, a_line()["said"]["level"])


def test_alloy_looks_for_what_is_written() -> None:
    """The fields of a line that it reads are those of a real one; Docker's envelope is named as Compose labels it; a native file is called after its service."""
    texts = {name: (DEPLOY / "alloy" / f"{name}.alloy").read_text() for name in ("lines", "containers", "native")}
    (fields,) = re.findall(r"stage\.json \{\s*expressions = \{(.*?)\}", texts["lines"])
    read_fields = set(re.findall(r'"(\w+)"', fields))
    assert read_fields <= set(a_line()["said"])
    for label in ("project", "service"):
        assert f'`attrs."com.docker.compose.{label}"`' in texts["containers"]
    (name,) = re.findall(r'expression = "/(.*?)\$"', texts["native"])
    found = re.search(name.replace("\\\\", "\\"), str(Path("home") / "logs" / "risk-gate.log"))
    assert found is not None
    assert found["service"] == "risk-gate"


@pytest.mark.parametrize("name", ["lines", "containers", "native"])
def test_the_parts_of_alloy_are_joined(name: str) -> None:
    """Every component that is named as a receiver is there, and braces and quotes close; whether Alloy takes it was not tried here."""
    texts = {path.stem: path.read_text() for path in (DEPLOY / "alloy").glob("*.alloy")}
    together = texts["lines"] + (texts[name] if name != "lines" else "")
    made = {f"{kind}.{label}" for kind, label in re.findall(r'^([a-z_.]+) "(\w+)" \{$', together, re.MULTILINE)}
    for receiver in re.findall(
        r"forward_to = \[([a-z_.]+)\.receiver\]", together.replace("forward_to  ", "forward_to ")
    ):
        assert receiver in made
    code = re.sub(r'"(?:[^"\\]|\\.)*"|`[^`]*`|//.*', "", texts[name])
    assert '"' not in code
    assert [code.count(each) for each in "{[("] == [code.count(each) for each in "}])"]


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_a_dashboard_leads_to_lines_and_traces_of_the_same_time(path: Path) -> None:
    """Its links ask sources that there are for the time that it shows; a panel with a series for each service leads to that service's log."""
    board = json.loads(path.read_text())
    ways = {link["title"]: link["url"] for link in board["links"] if link["type"] == "link"}
    assert set(ways) == {"Logs", "Traces"}
    inner = [
        (panel, link["url"])
        for panel in board["panels"]
        for link in panel.get("fieldConfig", {}).get("defaults", {}).get("links", [])
    ]
    for url in [*ways.values(), *(url for _, url in inner)]:
        panes = json.loads(parse_qs(urlsplit(url).query)["panes"][0])
        (pane,) = panes.values()
        assert (SOURCES / f"{pane['datasource']}.yaml").exists()
        assert pane["range"] == {"from": "${__from}", "to": "${__to}"}
    for panel, url in inner:
        assert "${__field.labels.service}" in url
        assert all("{{service}}" in target["legendFormat"] for target in panel["targets"])


def test_points_of_traced_histograms_have_their_examples() -> None:
    """Where a panel is worked out from a histogram that names traces, Grafana asks for them too; elsewhere there are none to ask for."""
    targets = [
        target
        for path in BOARDS
        for panel in json.loads(path.read_text())["panels"]
        for target in panel.get("targets", [])
    ]
    asked = {target["expr"]: target.get("exemplar", False) for target in targets}
    with_examples = {expr for expr, wanted in asked.items() if wanted}
    for metric in ("bulkhead_handle_seconds", "bulkhead_append_seconds", "bulkhead_exec_submit_seconds"):
        assert any(f"{metric}_bucket" in expr for expr in with_examples), metric
    assert all("_bucket" in expr for expr in with_examples)
