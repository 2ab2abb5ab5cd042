"""What `bulkhead validate` does: find the strategy, try it, examine its votes, run the full backtests, count the trials."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from libs.common.messages import LevelsMapped, MacroRegimes
from libs.common.timeframe import STEP
from libs.research.bar_files.terms import RepairKind, Told
from libs.research.histories import Histories
from libs.research.validity.ahead import Beside
from libs.research.validity.chance import Placed, random_levels
from libs.research.validity.examination import Terms, examined, luck_of, without_history
from libs.research.validity.telling import Candidate, market_of
from libs.research.validity.verdict import Costed, Validation
from libs.research.validity.votes import Costs, Series
from libs.runtime.code_version import code_version
from libs.runtime.plugin import Plugin, PluginRefused, find_file, service_of
from libs.runtime.plugin_trial import Verdict
from libs.runtime.registry import contract_of, machine_of
from libs.trading.fill_model import REALISTIC_BARS
from services.cli.admission import passed, tried
from services.cli.backtest_runs import Plan, check, data_of, hearing, opened, plugged, run
from services.cli.backtest_settings import machine_settings
from services.cli.exit_codes import USAGE, Failure
from services.cli.trial_counting import counted, place_of

BUILT_IN = {"trend": "agent-trend"}
BESIDE = {LevelsMapped: "agent-levels", MacroRegimes: "agent-macro"}
"""Whose words an agent may hear beside the feed's."""
TRIAL_S_MAX = 600.0
VARIANTS_MAX = 256
PIPELINE_TIMES = (0, 1, 2, 3)

Progress = Callable[[str], None]


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line said."""

    item: str
    files: tuple[Path, ...]
    told: Told
    repair: frozenset[RepairKind]
    begin: int | None
    end: int | None
    cash: Decimal
    fee: Decimal
    environment: dict[str, str]
    grid: tuple[str, ...]
    runs: int
    shuffles: int
    seed: int
    votes_only: bool
    trials: str

    @property
    def terms(self) -> Terms:
        """What the votes are examined by: the costs of the realistic fill model."""
        costs = Costs.of(REALISTIC_BARS, float(self.fee))
        return Terms(costs=costs, cash=float(self.cash), runs=self.runs, shuffles=self.shuffles, seed=self.seed)


def validated(wish: Wish, progress: Progress) -> Validation:
    """The whole validation.

    Raises:
        RefusedFile: the data cannot be believed.
        Failure, SettingsError: the command line, the settings or the place of the counter is wrong.
    """
    service, plugins, tried_out = _found(wish, progress)
    name = service.removeprefix("agent-").replace("-", "_")
    if not tried_out.may_run:
        return _refused(name, tried_out)
    rehearsed = passed(tried_out) if plugins else ""
    if not wish.files:
        found = _unread(wish, service, name, plugins, tried_out, progress)
        return msgspec.structs.replace(found, rehearsed=rehearsed)
    place = place_of(wish.trials, wish.environment)
    histories = opened(wish.files, wish.told, wish.repair, wish.begin, wish.end)
    settings = machine_settings(hearing(wish.environment, plugins), histories.instruments)
    check(histories, settings)
    market = market_of(histories.streams("binance"), histories.warm_up("binance"), histories.specs(wish.fee))
    candidates = _candidates(wish, service, name, plugins, histories.instruments)
    seen = examined(candidates, market, wish.terms, beside=_beside(candidates[0].hears, settings), progress=progress)
    found = msgspec.structs.replace(seen.found, rehearsed=rehearsed, series=_series(histories))
    if found.flaw:
        return found
    trials, runs = counted(place, candidates, seen.returns, data_of(histories.used))
    luck = [luck_of("its votes", seen.returns[candidates[0].label], trials, runs)]
    if not wish.votes_only:
        found, returns = _pipeline(wish, found, seen.series, histories, settings, plugins, progress)
        luck.append(luck_of("the full backtest", returns, trials, runs))
    return msgspec.structs.replace(found, luck=tuple(luck))


# --- who is on trial ----------------------------------------------------------------------------------------------


def _found(wish: Wish, progress: Progress) -> tuple[str, tuple[Plugin, ...], Verdict]:
    """The service, the plug-in (if it is one), and what its rehearsal came to; those of ours are rehearsed by our own tests."""
    if wish.item in BUILT_IN:
        return BUILT_IN[wish.item], (), Verdict()
    try:
        path = find_file(wish.item)
    except PluginRefused as error:
        cure = f"name an agent's file, or one of {', '.join(BUILT_IN)}"
        raise Failure(USAGE, str(error), cure) from error
    progress("is it one that may run?")
    verdict = tried(path, wish.environment, TRIAL_S_MAX)
    if not verdict.may_run:
        return service_of(verdict.agent_id or path.stem), (), verdict
    plugins = plugged([path])
    return plugins[0].service, plugins, verdict


def _refused(name: str, verdict: Verdict) -> Validation:
    return Validation(
        name=name,
        code_digest=verdict.version or "unknown",
        settings_digest="unknown",
        flaw=verdict.flaw,
        is_leak=verdict.leak is not None,
    )


def _candidates(
    wish: Wish, service: str, name: str, plugins: tuple[Plugin, ...], instruments: Sequence[str]
) -> list[Candidate]:
    """The agent as it is set, and as the grid would set it."""
    machine = machine_of(service)
    version = plugins[0].version if plugins else code_version(machine.__module__)
    hears = contract_of(service).consumes
    found: dict[str, Candidate] = {}
    for label, changes in _grid(wish, service):
        environment = hearing({**wish.environment, **changes}, plugins)
        settings = machine_settings(environment, instruments)[service]
        digest = hashlib.blake2b(msgspec.json.encode(settings), digest_size=8).hexdigest()
        candidate = Candidate(
            name=name,
            make=_maker(machine, settings),
            hears=hears,
            code_digest=version,
            settings_digest=digest,
            label=label,
        )
        found.setdefault(digest, candidate)
    return list(found.values())


def _maker(machine: Any, settings: Any) -> Callable[[], Any]:
    return lambda: machine(settings)


def _grid(wish: Wish, service: str) -> list[tuple[str, dict[str, str]]]:
    """Every combination of the values of `--grid`, the settings as they are first."""
    prefix = f"BULKHEAD_{service.removeprefix('agent-') if service in BUILT_IN.values() else service}_"
    axes = []
    for each in wish.grid:
        name, equals, values = each.partition("=")
        if not (equals and name.strip() and values.strip()):
            raise Failure(USAGE, f"--grid {each!r} names no values", "write NAME=A,B,.. with the name of a setting")
        variable = name if name.startswith("BULKHEAD_") else prefix.upper().replace("-", "_") + name.upper()
        axes.append([(f"{name}={value}", variable, value) for value in values.split(",")])
    combined = list(itertools.islice(itertools.product(*axes), VARIANTS_MAX + 1)) if axes else []
    if len(combined) > VARIANTS_MAX:
        raise Failure(USAGE, f"the grid has more than {VARIANTS_MAX} points", "give fewer values")
    found: list[tuple[str, dict[str, str]]] = [("as set", {})]
    for row in combined:
        found.append((" ".join(label for label, _, _ in row), {variable: value for _, variable, value in row}))
    return found


def _beside(hears: tuple[type, ...], settings: Mapping[str, Any]) -> Beside:
    services = [service for kind, service in BESIDE.items() if kind in hears and service in settings]
    return lambda: [machine_of(service)(settings[service]) for service in services]


def _unread(
    wish: Wish, service: str, name: str, plugins: tuple[Plugin, ...], verdict: Verdict, progress: Progress
) -> Validation:
    """Without any history."""
    settings = machine_settings(hearing(wish.environment, plugins), ("BTC-USDT",))
    candidate = _candidates(wish, service, name, plugins, ("BTC-USDT",))[0]
    heard = [each.base for each in verdict.rehearsals]
    base = max(heard, key=STEP.__getitem__) if heard else settings[service].shape.timeframe
    return without_history(candidate, base, wish.terms, _beside(candidate.hears, settings), progress)


# --- the full backtests -------------------------------------------------------------------------------------------


def _pipeline(
    wish: Wish,
    found: Validation,
    series: Sequence[Series],
    histories: Histories,
    settings: Mapping[str, Any],
    plugins: tuple[Plugin, ...],
    progress: Progress,
) -> tuple[Validation, list[float]]:
    """The same history through everything that would trade: under costs x 0 to 3, and with orders that come a bar later."""
    plan = Plan(cash=wish.cash, fee=wish.fee)
    plans = {
        f"costs x {times}": msgspec.structs.replace(plan, costs=Decimal(times), fee=wish.fee * times)
        for times in PIPELINE_TIMES
    }
    plans["one bar later"] = msgspec.structs.replace(plan, delay_bars=1)
    rows, returns, placed = [], list[float](), list[Placed]()
    for label, each in plans.items():
        progress(f"the full backtest, {label}")
        result = run(each, histories, settings, plugins, None, lambda now: None)
        rows.append(
            Costed(
                name=label,
                growth=float(result.equity_final / wish.cash),
                trips=result.record.trades.count,
                sharpe=result.record.sharpe.value,
            )
        )
        if label == "costs x 1":
            returns = result.daily.returns
            placed = _placed(result, series)
    levels = random_levels(series, placed, wish.shuffles, wish.seed)
    return msgspec.structs.replace(found, pipeline=tuple(rows), nulls=(*found.nulls, levels)), returns


def _placed(result: Any, series: Sequence[Series]) -> list[Placed]:
    """The entries with their stops and targets, at the bar that opened when they were ordered."""
    starts = {each.instrument: {end: place + 1 for place, end in enumerate(each.ends)} for each in series}
    found = []
    for entry in result.entries:
        intent = entry.intent
        bar = starts.get(intent.instrument, {}).get(intent.ts_event)
        if bar is not None and intent.stop_px is not None:
            target = float(intent.target_px) if intent.target_px is not None else 0.0
            found.append(Placed(intent.instrument, bar, float(intent.stop_px), target))
    return found


def _series(histories: Histories) -> tuple[str, ...]:
    return tuple(
        f"{each.instrument} {each.timeframe}: {each.bars:,} bars, digest {each.digest}" for each in histories.used
    )
