"""The page as a whole: what stands on it, what never does, and that it needs nobody."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from base64 import b64encode
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import plotly.graph_objects as go
import pytest
from plotly.offline import get_plotlyjs

from libs.research.report import page, write_report
from libs.research.report.charts import GREEN, RED, bars
from libs.research.result import SeriesUsed, Variant
from libs.research.scribe import PriceBar
from libs.trading.round_trips import round_trips
from tests.unit.research.report.samples import (
    CASH,
    HOSTILE,
    HOUR,
    NAME,
    START,
    charts_of,
    fills_of,
    forty_days,
    level_map,
    nothing_happened,
    result_of_fills,
    wish,
    zone,
)

BYTES_MAX = 12_000_000
SECTIONS = ("ran", "figures", "curves", "prices", "months", "sensitivity", "attribution", "refusals")
LOADING = {"src", "href", "action", "data", "poster", "srcset", "formaction", "background", "xlink:href"}


class Reader(HTMLParser):
    """Reads a page as a browser does: its elements, the text of its tables and lists, its scripts."""

    def __init__(self, html: str):
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.pairs: dict[str, str] = {}
        self.scripts: list[str] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self._caption, self._rows, self._term = "", [], ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in ("meta", "img", "br"):
            self._open.append(tag)
        if tag == "table":
            self._caption, self._rows = "", []
        if tag == "tr":
            self._rows.append([])
        if tag in ("td", "th"):
            self._rows[-1].append("")
        if tag == "dt":
            self._term = ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "table":
            self.tables[self._caption] = self._rows
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        within = self._open[-1] if self._open else ""
        if within == "script":
            self.scripts.append(data)
        elif within != "style":
            self.text.append(data)
        if within == "caption":
            self._caption += data
        if within in ("td", "th"):
            self._rows[-1][-1] += data
        if within == "dt":
            self._term += data
        if within == "dd":
            self.pairs[self._term] = self.pairs.get(self._term, "") + data

    def row(self, caption: str, head: str) -> list[str]:
        """The cells behind the row's head in the table of that caption."""
        return next(row[1:] for row in self.tables[caption] if row[0] == head)


def without_plotly(html: str) -> str:
    assert get_plotlyjs() in html
    return html.replace(get_plotlyjs(), "")


@pytest.fixture(scope="module")
def html() -> str:
    return page(forty_days())


@pytest.fixture(scope="module")
def read(html: str) -> Reader:
    return Reader(html)


@pytest.fixture(scope="module")
def empty() -> Reader:
    return Reader(without_plotly(page(nothing_happened())))


def test_every_part_is_there_and_can_be_jumped_to(read: Reader) -> None:
    """Eight sections in order, each named in the page's table of contents."""
    assert tuple(attrs["id"] for tag, attrs in read.elements if tag == "section") == SECTIONS
    links = [attrs["href"] for tag, attrs in read.elements if tag == "a"]
    assert links == [f"#{each}" for each in SECTIONS]


def test_it_says_what_was_run(read: Reader) -> None:
    """Series with their digests, the costs, and the digests of decisions, settings and code."""
    assert read.pairs["digest of all that was decided"] == "d" * 32
    assert read.pairs["digest of the settings"] == "5" * 32
    assert read.pairs["code version"] == "1.2.3"
    assert read.pairs["our share of the volume, at most"] == "10 %"
    assert read.pairs["half spread"] == "1 bp"
    assert read.row("Series", NAME) == ["1h", "960", "2025-01-30 00:00", "2025-03-11 00:00", "b" * 32, "none"]


def test_repairs_are_told_and_not_endless() -> None:
    """Of many repairs of a series the first are told, and how many more there are."""
    series = SeriesUsed(
        instrument=NAME,
        timeframe="1h",
        bars=24,
        first_ts_open=START,
        end_ts=START,
        digest="x",
        repairs=tuple(f"gap {n}" for n in range(9)),
    )
    told = Reader(without_plotly(page(msgspec.structs.replace(nothing_happened(), series=(series,))))).row(
        "Series", NAME
    )[-1]
    assert told == "gap 0; gap 1; gap 2; gap 3; gap 4; and 4 more repairs"


def test_figures_stand_with_their_intervals(read: Reader) -> None:
    """The win rate of 30 in 39 with Wilson's bounds; what was earned and paid."""
    assert read.row("Figures", "win rate") == ["76.92 %", "61.66", "87.35"]
    assert read.pairs["equity at the end"] == "10,330.00 USDT"
    assert read.pairs["result"] == "+330.00 USDT (+3.30 %)"
    assert read.pairs["round trips"] == "39 closed, 1 open"
    assert read.pairs["won, lost, neither"] == "30, 9, 0"
    assert read.pairs["commission of closed trips"] == "39.00 USDT"
    assert read.pairs["deepest drawdown, at any mark"] == "1.23 %"
    assert read.pairs["best, worst trip"] == "+20.00, -30.00"


def test_a_target_comes_with_a_chance_and_without_a_verdict(read: Reader) -> None:
    """No line says that something passed; the win rate's target shows how likely the truth is above it."""
    rows = read.tables["Targets, and the chance that the truth is above them"]
    wished = next(row for row in rows if row[0] == "win rate")
    assert wished[1:6] == ["above 55 %", "76.92 %", "61.66", "87.35", "39"]
    assert wished[6] == "above 99.9 %" or wished[6].endswith(" %")
    words = " ".join(read.text).lower()
    assert not re.search(r"\b(pass|passed|passes|fail|failed|success)\b", words)


def test_results_are_divided_by_whose_they_are(read: Reader) -> None:
    """The agent that led the odd days had all the losses; the sums of the groups are the whole."""
    agents = "By agent that led the entry"
    assert read.row(agents, "mine")[:3] == ["20", "100 % [83.89, 100]", "+400.00"]
    assert read.row(agents, "trend")[:3] == ["19", "52.63 % [31.71, 72.67]", "-70.00"]
    assert read.row("By reason of the exit", "STOP")[2] == "-270.00"
    assert read.row("By hour of the entry (UTC)", "01")[2] == "+330.00"
    assert read.row("By instrument", NAME)[2] == "+330.00"
    assert read.row("By regime at the entry", "BULL")[4] == "8.462 [5.897, 11.03]"


def test_few_trips_have_no_interval_of_their_expectancy(read: Reader) -> None:
    """Nine trips that all lost thirty do not show that it is thirty."""
    assert read.row("By reason of the exit", "STOP")[4] == "-30"


def test_the_largest_are_named(read: Reader) -> None:
    """Ten winners, nine losers, and what is still open; with R over the planned risk of five."""
    assert len(read.tables["The largest winners"]) == 1 + 10
    losers = read.tables["The largest losers"]
    assert len(losers) == 1 + 9
    assert losers[1] == [
        "2025-02-02 01:00", "2025-02-02 04:00", NAME, "LONG", "1", "100", "-30.00", "-6.00", "3 h", "trend", "BULL", "STOP",
    ]  # fmt: skip
    assert read.tables["Still open, so far"][1][1] == "open"


def test_other_costs_stand_beside_the_run(read: Reader) -> None:
    """Each variant with what is left, and what is not known of it."""
    caption = "The same under other costs and delays"
    assert read.row(caption, "as it was run")[:3] == ["10,330.00", "+3.30 %", ""]
    assert read.row(caption, "costs x 2") == ["9,900.00", "-1.00 %", "-430.00", "38", "-0.5"]
    assert read.row(caption, "a bar later")[-1] == "not known yet"


def test_months_stand_in_their_years(read: Reader) -> None:
    """Twelve months and the whole year; a month that was not reached is empty."""
    cells = read.row("Percent by month, and of the whole year", "2025")
    assert cells == ["+0.40", "+2.09", "+0.78", *[""] * 9, "+3.30"]


def test_each_bar_has_its_place() -> None:
    """Results by name: what it earned, in its colour, with the name below it; a long one is cut there and whole where one points."""
    chart = bars("k", "words", ["a", "b" * 30, "b" * 31], [2.0, -1.0, None], "USDT")
    (drawn,) = chart.data
    assert (drawn["x"], drawn["y"]) == ([0, 1, 2], [2.0, -1.0, None])
    assert drawn["marker"]["color"] == [GREEN, RED, GREEN]
    assert drawn["text"][1:] == ["b" * 30, "b" * 31]
    assert chart.layout["xaxis"]["ticktext"][:2] == ["a", "b" * 19 + "…"]


def test_what_was_denied_is_counted(read: Reader) -> None:
    """Reasons, alerts and messages, the most frequent first."""
    denials = read.tables["Denials by reason (a wish may be denied for several)"]
    assert denials[1:] == [["COOLDOWN", "12"], ["SPREAD", "3"]]
    assert read.row("Alerts", "BREAKER_OPEN") == ["2"]
    assert read.row("What the digest covers", "OrderIntent") == ["79"]


def test_a_backtest_in_which_nothing_happened_says_so(empty: Reader) -> None:
    """No trades on one day: a page that says what it does not know."""
    words = " ".join(empty.text)
    for said in (
        "0.00 % in 1 full day, 0 round trips. Nothing was bought and sold again",
        "No round trip was closed",
        "No wish was denied.",
        "Nothing was alerted.",
        "No zones were known at the end.",
        "was run under one set of costs only",
    ):
        assert said in words
    assert empty.row("Figures", "Sharpe ratio a year") == ["not known yet"] * 3
    assert empty.row("Figures", "win rate") == ["not known yet"] * 3
    assert empty.pairs["days until the first of these is 95 %"] == "not known yet"
    assert empty.row("Percent by month, and of the whole year", "2025")[0] == "0.00"


def test_less_than_nothing_makes_a_page_too() -> None:
    """Without equity, prices, or even cash nothing is divided by zero."""
    bare = msgspec.structs.replace(
        nothing_happened(), curve=[], prices={}, counts={}, series=(), cash=Decimal(0), equity_final=Decimal(0)
    )
    words = " ".join(Reader(without_plotly(page(bare))).text)
    assert "Equity was never known" in words
    assert "No prices were seen." in words
    assert "Nothing was decided." in words
    assert "not known yet in 1 full day" in words


@pytest.mark.parametrize("result", [forty_days, nothing_happened])
def test_nan_stands_nowhere(result) -> None:
    """What is not known is said in words, and left out of the charts."""
    found = without_plotly(page(result()))
    assert not re.search(r"\b(nan|inf|infinity|-inf|none,)\b", found.replace("none", ""), re.IGNORECASE)
    assert not re.search(r"\b(None|True|False)\b", found)


def test_the_same_result_makes_the_same_bytes(tmp_path: Path, html: str) -> None:
    """Nothing of the hour or of chance is in it, and writing it leaves nothing beside it."""
    path = tmp_path / "report.html"
    write_report(forty_days(), path)
    write_report(forty_days(), path)
    assert path.read_bytes() == html.encode()
    assert list(tmp_path.iterdir()) == [path]


def test_a_page_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    """Where a folder stands in the way there is an error, and no half of a page beside it."""
    folder = tmp_path / "report.html"
    folder.mkdir()
    with pytest.raises(OSError, match="report"):
        write_report(nothing_happened(), folder)
    assert list(tmp_path.iterdir()) == [folder]


def test_nothing_is_loaded_from_anywhere(read: Reader) -> None:
    """No element names an address, the style none either, and the page's policy allows none."""
    named = [(tag, attrs[name]) for tag, attrs in read.elements for name in LOADING & set(attrs)]
    assert named
    assert [each for each in named if not each[1].startswith("#")] == []
    assert {tag for tag, _ in read.elements} & {
        "link",
        "img",
        "iframe",
        "object",
        "embed",
        "base",
        "form",
        "video",
    } == set()
    policy = policy_of(read)
    assert policy["default-src"] == ["'none'"]
    assert set(policy) == {"default-src", "script-src", "style-src", "img-src", "base-uri", "form-action"}
    assert policy["img-src"] == ["data:", "blob:"]


def policy_of(read: Reader) -> dict[str, list[str]]:
    content = next(
        attrs["content"] for tag, attrs in read.elements if attrs.get("http-equiv") == "Content-Security-Policy"
    )
    return {words[0]: words[1:] for part in content.split(";") if (words := part.split())}


def test_only_our_two_scripts_may_run(html: str, read: Reader) -> None:
    """The policy names each script by its digest; plotly is there once, and the charts' data are no script."""
    scripts = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    assert len(scripts) == 2
    assert html.count(get_plotlyjs()) == 1
    digests = ["'sha256-" + b64encode(hashlib.sha256(each.encode()).digest()).decode() + "'" for each in scripts]
    assert policy_of(read)["script-src"] == digests


def test_names_are_text_and_never_markup() -> None:
    """An instrument, an agent, a reason, an alert, a file, a version that are markup appear as text, in HTML, in JSON and in plotly's labels."""
    levels = level_map(zone(90, "SUPPORT"), instrument=HOSTILE)
    fills = [
        each
        for place in range(4)
        for each in fills_of(
            place,
            Decimal(5 - 2 * place),
            instrument=HOSTILE,
            agent=HOSTILE + str(place % 2),
            reason=HOSTILE + str(place % 2),
        )
    ]
    result = result_of_fills(
        fills,
        days=4,
        instrument=HOSTILE,
        levels={HOSTILE: levels},
        entries=[wish(0, instrument=HOSTILE, levels=levels)],
        denials={HOSTILE: 1},
        alerts={HOSTILE: 1},
        counts={HOSTILE: 1},
        code_version=HOSTILE,
        quote=HOSTILE,
        variants=(Variant(name=HOSTILE, equity_final=CASH, trades=1, sharpe=1.0),),
    )
    repaired = msgspec.structs.replace(result.series[0], digest=HOSTILE, timeframe=HOSTILE, repairs=(HOSTILE,))
    found = page(msgspec.structs.replace(result, series=(repaired,)))
    read = Reader(found)
    tags = [tag for tag, _ in read.elements]
    assert tags.count("script") == 3
    assert "img" not in tags
    assert tags.count("a") == len(SECTIONS)
    assert not any(name.startswith("on") for _, attrs in read.elements for name in attrs)
    assert "<img" not in found.replace(get_plotlyjs(), "")
    assert read.pairs["code version"] == HOSTILE
    assert read.row("Alerts", HOSTILE) == ["1"]
    data = next(each for each in read.scripts if each.startswith("{"))
    assert "<" not in data
    assert "evil.example" in data
    labels = [text for text in texts_of(json.loads(data)) if "evil" in text]
    assert labels
    assert not any("<img" in each or "<script" in each or "<a" in each for each in labels)


def texts_of(node: object) -> list[str]:
    if isinstance(node, str):
        return [node]
    parts = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return [each for part in parts for each in texts_of(part)]


def test_tables_say_what_heads_what(read: Reader) -> None:
    """Every table has a caption, every head a scope, and every chart a description for those who do not see it."""
    tags = [tag for tag, _ in read.elements]
    assert tags.count("table") == tags.count("caption") > 10
    assert all(attrs.get("scope") in ("col", "row") for tag, attrs in read.elements if tag == "th")
    charts = [attrs for _, attrs in read.elements if attrs.get("class") == "chart"]
    assert len(charts) == len({each["id"] for each in charts}) == 5
    assert all(each["role"] == "img" and each["aria-label"] for each in charts)
    assert [attrs["lang"] for tag, attrs in read.elements if tag == "html"] == ["en"]


def test_plotly_knows_every_word_of_the_charts() -> None:
    """Its own classes take the data and the layouts without a complaint."""
    for result in (forty_days(), nothing_happened()):
        for chart in charts_of(result).values():
            figure = go.Figure(data=chart.data, layout=chart.layout)
            assert len(figure.data) == len(chart.data)


def test_a_large_backtest_stays_a_page() -> None:
    """Full curves, 2,500 trips, 2,000 wishes with twenty zones each, and more instruments than are drawn: below twelve megabytes."""
    names = [f"C{place}-USDT" for place in range(14)]
    levels = level_map(*(zone(50 + 4 * place, "SUPPORT" if place < 12 else "RESISTANCE") for place in range(20)))
    fills = [
        each
        for place in range(2_500)
        for each in fills_of(place, Decimal(place % 7 - 3), instrument=names[place % 14], agent=f"a{place % 3}")
    ]
    bars = [PriceBar(START + place * HOUR, 98765.4321, 112345.678, 87654.3219, 101234.567) for place in range(4_000)]
    result = result_of_fills(
        fills[:2],
        days=400,
        trips=round_trips(fills),
        prices=dict.fromkeys(names, bars),
        levels=dict.fromkeys(names, levels),
        entries=[wish(place, instrument=names[place % 14], levels=levels) for place in range(2_000)],
        curve=[(START + place * HOUR, 100_000.123 + place) for place in range(4_000)],
        alerts={f"COMMISSION_UNVALUED {place}": 1 for place in range(5_000)},
    )
    found = page(result)
    assert len(found.encode()) < BYTES_MAX
    read = Reader(without_plotly(found))
    assert "4 more instruments not drawn." in read.text
    assert "Of 2,500 round trips the latest 2,000 are drawn." in read.text
    assert read.tables["Alerts"][-1] == ["and 4,900 more"]


def test_who_makes_no_page_pays_for_no_plotly() -> None:
    """Plotly is imported when a page is made, not when the report is."""
    code = "import sys, libs.research.report; print(any(name.split('.')[0] == 'plotly' for name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "False"
