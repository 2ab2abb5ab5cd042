"""The trial of a plug-in: rehearsed on small generated markets, its manners watched, its decisions held against every prefix.

    python -m libs.runtime.plugin_trial FILE BARS SEED     # the verdict as JSON; settings are those of the environment

It is rehearsed on every timeframe as the shortest one, and held against every prefix wherever it had an opinion. History becomes longer
until it has one: an agent that is never ready has shown nothing, and is refused.
"""

from __future__ import annotations

import math
import sys
import traceback
from typing import Any, get_args

import msgspec

from libs.common.messages import AgentSignals, AlertRaised, Message, Signal, Timeframe
from libs.common.timeframe import TIMEFRAMES
from libs.runtime.code_version import code_version
from libs.runtime.lookahead import Leak, clock_of, look_ahead, unlike
from libs.runtime.machine import Effect, Publish, Reject
from libs.runtime.plugin import Plugin, PluginRefused, imported_anew, load_plugin
from libs.runtime.plugin_settings import settings_class_of
from libs.runtime.rehearsal import INSTRUMENTS, rehearsal
from libs.runtime.settings import SettingsError, load_settings

BARS = 60
HISTORIES = (300, 1500, 5000)
SEED = 1


class Rehearsal(msgspec.Struct, frozen=True):
    """One market, and what the agent said on it: answers, and the opinions in them that were ready."""

    base: Timeframe
    bars: int
    history_bars: int
    seed: int
    events: int
    answers: int
    opinions: int


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a trial. `flaw` is "" if the agent may run; `leak` is the look-ahead found, if that is the flaw."""

    agent_id: str = ""
    version: str = ""
    flaw: str = ""
    rehearsals: tuple[Rehearsal, ...] = ()
    leak: Leak | None = None

    @property
    def may_run(self) -> bool:
        """Whether nothing was found."""
        return not self.flaw


class _Flaw(Exception):
    """What an agent did that none may; the text says where."""


def try_out(item: str, bars: int = BARS, seed: int = SEED) -> Verdict:
    """Judge, import and rehearse an agent, with the settings of the environment."""
    try:
        plugin = load_plugin(item)
        settings = load_settings(settings_class_of(plugin)).machine()  # type: ignore[attr-defined]
    except (PluginRefused, SettingsError) as error:
        return Verdict(flaw=str(error))
    return rehearsed(plugin, settings, bars, seed)


def trial_version() -> str:
    """A digest of how agents are tried: a verdict of another trial is none."""
    return code_version(rehearsed.__module__)


def rehearsed(plugin: Plugin, settings: Any, bars: int, seed: int) -> Verdict:
    """The trial itself."""
    told: dict[str, Any] = {"agent_id": plugin.agent_id, "version": plugin.version}
    found: list[Rehearsal] = []
    try:
        for history_bars in HISTORIES:
            found = [_rehearse(plugin, settings, base, bars, history_bars, seed) for base in TIMEFRAMES]
            if any(each.opinions for each in found):
                break
        found = [each for each in found if each.opinions]
        if not found:
            raise _Flaw(
                f"it was never ready, not even after {HISTORIES[-1]:,} bars of history of each timeframe: nothing has been shown."
                " Say `ready=True` once the numbers are worth something, or wait for fewer of them"
            )
        for each in found:
            events = _events(plugin, each)
            leak = _haunted(plugin, settings, each) or look_ahead(lambda: plugin.machine_class(settings), events).leak
            if leak is not None:
                return Verdict(flaw=f"it looks ahead: {leak}", leak=leak, rehearsals=(each,), **told)
    except _Flaw as flaw:
        return Verdict(flaw=str(flaw), rehearsals=tuple(found), **told)
    except Exception as error:  # noqa: BLE001  it is not our code that is on trial: whatever it raises is a finding
        return Verdict(flaw=f"it raises {_told(error, plugin)}", rehearsals=tuple(found), **told)
    return Verdict(rehearsals=tuple(found), **told)


def _haunted(plugin: Plugin, settings: Any, each: Rehearsal) -> Leak | None:
    """Whether the module remembers: in another market, one that is imported anew against the one that has lived in this. A cache that
    is filled once and for all looks the same to everybody who comes after the first."""
    anew = imported_anew(plugin)
    same = msgspec.convert(msgspec.to_builtins(settings), anew.Settings)
    elsewhere = _events(plugin, msgspec.structs.replace(each, seed=each.seed + 1))
    return unlike(anew(same), plugin.machine_class(settings), elsewhere)


def _events(plugin: Plugin, each: Rehearsal) -> list[Message]:
    market = rehearsal(each.base, each.bars, each.history_bars, each.seed)
    return [event for event in market if isinstance(event, plugin.contract.consumes)]


def _rehearse(plugin: Plugin, settings: Any, base: Timeframe, bars: int, history_bars: int, seed: int) -> Rehearsal:
    """Live through one market once, minding the manners."""
    empty = Rehearsal(base, bars, history_bars, seed, 0, 0, 0)
    events = _events(plugin, empty)
    machine, answers, opinions = plugin.machine_class(settings), 0, 0
    for event, now in zip(events, clock_of(events), strict=True):
        effects = machine.handle(event, now)
        if not isinstance(effects, list):
            raise _Flaw(f"handle() returned {type(effects).__name__} for {type(event).__name__}; it returns a list")
        for effect in effects:
            opinions += _minded(plugin, effect)
        answers += bool(effects)
    return msgspec.structs.replace(empty, events=len(events), answers=answers, opinions=opinions)


def _minded(plugin: Plugin, effect: Effect) -> int:
    """How many ready opinions an effect holds, if it is one that a plug-in may have."""
    if isinstance(effect, Reject):
        return 0
    if not isinstance(effect, Publish):
        raise _Flaw(f"it asks for {type(effect).__name__}; an agent of yours may only Publish and Reject")
    message = effect.message
    if not isinstance(message, (*plugin.contract.produces, AlertRaised)):
        raise _Flaw(f"it says {type(message).__name__}, which its contract does not name and the bus would refuse")
    msgspec.json.encode(message)
    if not isinstance(message, AgentSignals):
        return 0
    if message.agent_id != plugin.agent_id:
        raise _Flaw(f"it speaks as agent {message.agent_id!r}; it is {plugin.agent_id!r}")
    for signal in message.signals:
        if wrong := _wrong(signal):
            raise _Flaw(f"its opinion on {signal.instrument} at {message.end_ts}: {wrong}")
    return sum(signal.ready for signal in message.signals)


def _wrong(signal: Signal) -> str:
    numbers = {"strength": signal.strength, "close_px": signal.close_px, "atr": signal.atr, **signal.evidence}
    if bad := [name for name, number in numbers.items() if not math.isfinite(number)]:
        return f"{bad[0]} is not a finite number"
    if signal.instrument not in INSTRUMENTS:
        return "nobody told it of such an instrument"
    if signal.timeframe not in get_args(Timeframe):
        return f"{signal.timeframe!r} is no timeframe"
    if signal.stance not in ("LONG", "SHORT", "FLAT"):
        return f"{signal.stance!r} is no stance"
    if not 0.0 <= signal.strength <= 1.0:
        return f"strength {signal.strength} is not within 0 and 1"
    return "" if signal.ready or signal.stance == "FLAT" else "it is not ready, and not FLAT"


def _told(error: Exception, plugin: Plugin) -> str:
    lines = [each.lineno for each in traceback.extract_tb(error.__traceback__) if each.filename == str(plugin.path)]
    where = f" at line {lines[-1]}" if lines else ""
    return f"{type(error).__name__}{where}: {error}"


if __name__ == "__main__":
    sys.stdout.write(msgspec.json.encode(try_out(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))).decode())
