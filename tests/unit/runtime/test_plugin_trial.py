"""The trial of an agent that a user brings: five ways of looking ahead and every bad manner, planted in the template."""

from __future__ import annotations

from pathlib import Path

import pytest

from libs.runtime.plugin_trial import try_out
from tests.plugins import NOT_CLOSED, NOT_ONCE, TEMPLATE, WIDE, WIDE_IMPORT, changed, plugin_file

BARS = 24


def test_the_template_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the bars that it is set to, whatever they are; and says how much was shown."""
    assert try_out(str(TEMPLATE), BARS).may_run
    monkeypatch.setenv("BULKHEAD_AGENT_BREAKOUT_TIMEFRAME", "1h")
    verdict = try_out(str(TEMPLATE), BARS)
    assert verdict.may_run, verdict.flaw
    shown = {each.base: each.opinions for each in verdict.rehearsals}
    assert set(shown) == {"1m", "15m", "1h"}
    assert shown["1h"] > BARS
    assert verdict.agent_id == "breakout"
    assert verdict.version


LEAKS = {
    "believes bars before they close": (NOT_CLOSED, NOT_ONCE),
    "normalises by the whole table": (
        ("        new = []\n", "        new = []\n        peak = max((bar.high for bar in bars if bar.timeframe == self.settings.timeframe), default=0.0)\n        self.state.peak = max(self.state.peak, peak)\n"),
        ("    tracks: dict[str, Track] = {}\n", "    tracks: dict[str, Track] = {}\n    peak: float = 0.0\n"),
        ('evidence={"top": top,', 'evidence={"of_peak": bar.close / self.state.peak, "top": top,'),
    ),
    "goes with the hour that is open": (
        ("        new = []\n", "        new = []\n        for bar in bars:\n            if bar.timeframe == '1h':\n                self.state.hour = bar.close - bar.open\n"),
        ("    tracks: dict[str, Track] = {}\n", "    tracks: dict[str, Track] = {}\n    hour: float = 0.0\n"),
        ('evidence={"top": top,', 'evidence={"hour": self.state.hour, "top": top,'),
    ),
    "shares a cache with all of its kind": (
        ("class BreakoutMachine:\n", "CACHE = {}\n\n\nclass BreakoutMachine:\n"),
        ('evidence={"top": top,', 'evidence={"seen": CACHE.setdefault(bar.instrument, bar.close), "top": top,'),
    ),
    "files its opinion under the bar before": (
        ("end_ts=event.end_ts, signals", "end_ts=event.end_ts - 60_000_000_000, signals"),
    ),
    "remembers beside its state": (
        ("        self.state = State()\n", "        self.state = State()\n        self.count = 0\n"),
        ("        track = self.state.tracks[bar.instrument]\n        before", "        self.count += 1\n        track = self.state.tracks[bar.instrument]\n        before"),
        ('evidence={"top": top,', 'evidence={"count": float(self.count), "top": top,'),
    ),
}  # fmt: skip
KINDS = dict(zip(LEAKS, ("future", "future", "future", "prefix", "rewritten", "snapshot"), strict=True))


@pytest.mark.no_cover
@pytest.mark.parametrize("leak", LEAKS)
def test_a_leak_planted_in_the_template_is_refused(tmp_path: Path, leak: str) -> None:
    """The verdict tells the instant, what the agent told and what it was."""
    verdict = try_out(str(plugin_file(tmp_path, changed(*LEAKS[leak]))), BARS)
    assert verdict.leak is not None, verdict.flaw
    assert not verdict.may_run
    assert verdict.leak.kind == KINDS[leak]
    for part in ("it looks ahead", str(verdict.leak.instant), verdict.leak.told, verdict.leak.was):
        assert part in verdict.flaw


SAYS = "return [Publish(AgentSignals(agent_id=AGENT_ID, end_ts=event.end_ts, signals=signals))]"
MANNERS = {
    "it says OperatorCommanded, which its contract does not name": (WIDE, WIDE_IMPORT),
    "it asks for SetTimer; an agent of yours may only Publish and Reject": (
        (SAYS, "return [SetTimer('x', now)]"),
        ("import Effect, Publish", "import Effect, Publish, SetTimer"),
    ),
    "handle() returned NoneType for FeedHistory; it returns a list": (("        return []\n", "        return None\n"),),
    "it speaks as agent 'trend'; it is 'breakout'": (("agent_id=AGENT_ID", "agent_id='trend'"),),
    "its opinion on BTC-USDT at": (("strength=0.0 if stance == \"FLAT\" else 1.0", "strength=7.0"),),
    "strength 7.0 is not within 0 and 1": (("strength=0.0 if stance == \"FLAT\" else 1.0", "strength=7.0"),),
    "atr is not a finite number": (("atr=track.atr.value or 0.0", "atr=float('nan')"),),
    "'5m' is no timeframe": (("timeframe=bar.timeframe,", "timeframe='5m',"),),
    "'UP' is no stance": (("stance=stance,", "stance='UP',"),),
    "nobody told it of such an instrument": (("instrument=bar.instrument,", "instrument='XRP-USDT',"),),
    "it is not ready, and not FLAT": (("ready=ready,", "ready=False,"), ("stance=stance,", "stance='LONG',")),
    "it raises KeyError at line": (("self.state.tracks[bar.instrument]\n        before", "self.state.tracks['x']\n        before"),),
}  # fmt: skip


@pytest.mark.parametrize("said", MANNERS)
def test_bad_manners_are_refused_in_words(tmp_path: Path, said: str) -> None:
    """What the bus, the portfolio or the next restart would choke on."""
    verdict = try_out(str(plugin_file(tmp_path, changed(*MANNERS[said]))), BARS)
    assert said in verdict.flaw
    assert verdict.leak is None


def test_an_agent_that_is_never_ready_has_shown_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would pass any check, and is refused; one that only wants a long history gets it."""
    silent = plugin_file(tmp_path, changed(("ready=ready,", "ready=False,"), ("stance=stance,", "stance='FLAT',")))
    monkeypatch.setattr("libs.runtime.plugin_trial.HISTORIES", (20, 200))
    assert "never ready, not even after 200 bars" in try_out(str(silent), 10).flaw
    patient = try_out(str(TEMPLATE), 10)
    assert patient.may_run
    assert {each.history_bars for each in patient.rehearsals} == {200}


def test_bad_settings_are_a_flaw(monkeypatch: pytest.MonkeyPatch) -> None:
    """The trial is of the agent as it is set."""
    monkeypatch.setenv("BULKHEAD_AGENT_BREAKOUT_CHANNEL_BARS", "many")
    assert "BULKHEAD_AGENT_BREAKOUT_CHANNEL_BARS: got 'many'" in try_out(str(TEMPLATE)).flaw


def test_a_refused_file_is_a_flaw_and_not_an_error(tmp_path: Path) -> None:
    """Whoever asks for a verdict gets one."""
    assert "imports os" in try_out(str(plugin_file(tmp_path, "import os"))).flaw
