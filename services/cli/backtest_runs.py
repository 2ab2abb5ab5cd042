"""What `bulkhead backtest` does: open the files, give everybody their settings, play, and write down what came of it."""

from __future__ import annotations

import getpass
import hashlib
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

import msgspec
from sqlalchemy import URL

from libs.common.codec import encode
from libs.common.messages import Message
from libs.common.subjects import subject_of
from libs.common.timeframe import STEP
from libs.research.backtest import Terms, backtest
from libs.research.bar_files.series import open_bars
from libs.research.bar_files.terms import RepairKind, Told
from libs.research.bar_market import BadHistory
from libs.research.histories import Histories
from libs.research.result import BacktestResult, SeriesUsed, Variant, result_of
from libs.research.result import summary as summary
from libs.research.scribe import Scribe
from libs.research.trials import Trial, TrialCounter
from libs.runtime.adapter import LogEntry
from libs.runtime.code_version import code_version
from libs.runtime.plugin import Plugin, PluginRefused, load_plugin
from libs.runtime.registry import machine_of, plug_in
from libs.trading.fill_model import REALISTIC_BARS, FillModel
from libs.trading.performance import moments
from libs.trading.track_record import Trials, book_record
from services.cli.admission import EARS
from services.cli.exit_codes import BAD_DATA, CANNOT_WRITE, CONFIG, USAGE, Failure
from services.cli.log_lines import line_of

TOLD_EVERY = STEP["4h"]
"""So much history passes between two words about the progress, ns."""
TREND = "agent-trend"
PORTFOLIO = "portfolio"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is told beside its files and settings: money (quote currency), fees (a fraction), costs as a multiple of the
    realistic ones, and how many bars later orders reach the venue."""

    cash: Decimal
    fee: Decimal
    costs: Decimal = Decimal(1)
    delay_bars: int = 0

    def model(self, step: int) -> FillModel:
        """The fill model, for bars of `step` ns."""
        base = REALISTIC_BARS
        return msgspec.structs.replace(
            base,
            latency_ms=self.delay_bars * step // 1_000_000,
            half_spread_bps=base.half_spread_bps * self.costs,
            slip_bps=base.slip_bps * self.costs,
            impact_bps=base.impact_bps * self.costs,
        )


def opened(
    files: Sequence[Path], told: Told, repair: frozenset[RepairKind], begin: int | None, end: int | None
) -> Histories:
    """The series in `files`, checked.

    Raises:
        RefusedFile: what is wrong, with its row and what to do.
        Failure: there is nothing in them, or they do not fit together.
    """
    try:
        histories = Histories(open_bars(files, told, repair, begin, end))
    except BadHistory as error:
        raise Failure(BAD_DATA, str(error), "give files of one timeframe for all instruments") from error
    except ValueError as error:
        raise Failure(USAGE, str(error), "choose one") from error
    if not histories.played:
        raise Failure(BAD_DATA, "the files hold no bars between --from and --to", "widen --from and --to")
    return histories


def plugged(agents: Sequence[Path]) -> tuple[Plugin, ...]:
    """The agents of the user's, plugged in.

    Raises:
        Failure: one may not run.
    """
    try:
        found = tuple(load_plugin(str(path)) for path in agents)
        plug_in(*found)
    except PluginRefused as error:
        raise Failure(CONFIG, str(error), "correct the file; `bulkhead strategy check FILE` tells the same") from error
    return found


def hearing(environment: Mapping[str, str], plugins: Sequence[Plugin]) -> dict[str, str]:
    """The environment in which the portfolio hears the agents that were named, unless it is told otherwise."""
    names = ",".join(plugin.agent_id for plugin in plugins)
    return {**({EARS: names} if names else {}), **environment}


def check(histories: Histories, settings: Mapping[str, Any]) -> None:
    """Refuse a history of which the agents that are heard would see no bar.

    Raises:
        Failure
    """
    trend = settings.get(TREND)
    if trend is None or "trend" not in settings[PORTFOLIO].agents:
        return
    wanted = trend.shape.timeframe
    if STEP[wanted] < STEP[histories.base]:
        text = f"the files hold {histories.base} bars, and the trend agent decides on {wanted} bars"
        raise Failure(USAGE, text, f"--set BULKHEAD_TREND_TIMEFRAMES={histories.base} (longer ones after it, if any)")


def run(
    plan: Plan,
    histories: Histories,
    settings: Mapping[str, Any],
    plugins: tuple[Plugin, ...],
    log: Path | None,
    progress: Callable[[int], None],
    trials: Trials = Trials(),  # noqa: B008  frozen
) -> BacktestResult:
    """One backtest.

    Raises:
        Failure: the log cannot be written.
    """
    terms = Terms(
        specs=histories.specs(plan.fee),
        cash=plan.cash,
        quote=_quote(histories.instruments),
        model=plan.model(STEP[histories.base]),
        code_version=version_of(settings),
    )
    scribe = Scribe()
    day = [0]

    def told(instant: Any) -> None:
        if instant.closes - day[0] > TOLD_EVERY:
            day[0] = instant.closes
            progress(instant.closes)

    streams = histories.streams(terms.venue)
    history = histories.warm_up(terms.venue)
    if log is None:
        backtest(terms, streams, settings, scribe, history=history, plugins=plugins, progress=told)
    else:
        try:
            with log.open("wb") as file:
                backtest(terms, streams, settings, _both(scribe, file), history=history, plugins=plugins, progress=told)
        except OSError as error:
            raise Failure(CANNOT_WRITE, f"cannot write {log}: {error.strerror}", "name another file") from error
    return result_of(
        scribe,
        series=histories.used,
        settings=settings,
        code_version=terms.code_version,
        model=terms.model,
        quote=terms.quote,
        cash=plan.cash,
        qty_steps={each.instrument: each.qty_step for each in terms.specs},
        trials=trials,
    )


def with_variants(
    plan: Plan,
    histories: Histories,
    settings: Mapping[str, Any],
    plugins: tuple[Plugin, ...],
    result: BacktestResult,
) -> BacktestResult:
    """The same under other costs, and with orders that come a bar later."""
    found = [_variant("as it is", result)]
    for times in (0, 2, 3):
        changed = msgspec.structs.replace(plan, costs=plan.costs * times, fee=plan.fee * times)
        found.append(_variant(f"costs and fees x {times}", run(changed, histories, settings, plugins, None, _silent)))
    later = msgspec.structs.replace(plan, delay_bars=plan.delay_bars + 1)
    found.append(_variant("one bar later", run(later, histories, settings, plugins, None, _silent)))
    return msgspec.structs.replace(result, variants=tuple(found))


def report(result: BacktestResult, path: Path) -> None:
    """Write the page for people."""
    from libs.research.report import write_report

    write_report(result, path)


def version_of(settings: Mapping[str, Any]) -> str:
    """One version of all the code that decides."""
    versions = [code_version(machine_of(service).__module__) for service in sorted(settings)]
    return hashlib.blake2b(" ".join(versions).encode(), digest_size=8).hexdigest()


def _variant(name: str, result: BacktestResult) -> Variant:
    record = result.record
    return Variant(name=name, equity_final=result.equity_final, trades=record.trades.count, sharpe=record.sharpe.value)


def _both(scribe: Scribe, file: IO[bytes]) -> Callable[[int, Message], None]:
    def watch(seq: int, message: Message) -> None:
        scribe(seq, message)
        file.write(line_of(LogEntry(seq, subject_of(message), encode(message))))

    return watch


def _quote(instruments: Sequence[str]) -> str:
    quotes = sorted({each.partition("-")[2] for each in instruments})
    if len(quotes) > 1:
        raise Failure(USAGE, f"one book has one currency, and these have {', '.join(quotes)}", "play them apart")
    return quotes[0]


def _silent(now: int) -> None:
    """Nobody looks."""


def data_of(series: Sequence[SeriesUsed]) -> str:
    """A digest of everything that was played."""
    return hashlib.blake2b(" ".join(each.digest for each in series).encode(), digest_size=16).hexdigest()


def trial_of(result: BacktestResult, strategy: str, began: int) -> Trial:
    """A run as the trial counter counts it; `began` is when (ns)."""
    returns = result.daily.returns
    return Trial(
        strategy=strategy,
        code_digest=result.code_version,
        settings_digest=_digest([result.settings_digest, result.model, result.cash]),
        data_digest=data_of(result.series),
        started_at=began,
        sharpe=moments(returns).sharpe,
        observations=len(returns),
        by_whom=getpass.getuser(),
    )


def counted(result: BacktestResult, study: str, began: int, url: URL) -> BacktestResult:
    """The result with the number of trials of its study, itself included, in its record.

    Raises:
        SQLAlchemyError: the counter's database cannot be had.
    """
    counter = TrialCounter.open(url)
    try:
        counter.note(trial_of(result, study, began))
        trials = counter.trials(study)
    finally:
        counter.close()
    return msgspec.structs.replace(result, record=book_record(result.daily, result.trips, trials=trials))


def _digest(of: object) -> str:
    return hashlib.blake2b(msgspec.json.encode(of), digest_size=16).hexdigest()
