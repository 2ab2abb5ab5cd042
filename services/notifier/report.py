"""What a day, and a week, came to: folded from the log, told when the ledger declares that the day is over. Pure.

A day is a UTC day by the log's own time. The ledger's word of a day that is over may come after the first events of the next, or days later
where it was away: what happened is kept by day until that word comes, and what belongs to a later day waits for its own. A day of which nobody
heard anything has no report of its own; it is in the next one. A week ends with Sunday, and its report comes with the first day's end from there on.

Equity is the ledger's at the two ends of the day. It is no percentage where money was paid in or out: that would be no return.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from libs.common.messages import (
    AlertRaised,
    CapitalMoved,
    DecisionsMade,
    EquityChanged,
    ExecutionReport,
    FeedStatus,
    JournalHeadDeclared,
    Message,
    OrderDenied,
    PositionChanged,
    TradingStateChanged,
)
from libs.common.money import ZERO
from libs.common.timeframe import ANCHOR, DAY, WEEK
from services.notifier.holdings import Holdings
from services.notifier.letters import counts_text
from services.notifier.requests import Level
from services.notifier.wording import one_line

DAYS_MAX = 32
"""So many days are kept apart; what is older is told with the next day that ends."""
KINDS_MAX = 64
OTHERS = "others"


class Tally(msgspec.Struct, kw_only=True):
    """What happened in some days. `equity` and `realized` are the first values heard, `drawdown` the worst; `paid` is money in and out by asset."""

    fills: int = 0
    denials: int = 0
    reasons: dict[str, int] = {}
    alerts: dict[Level, int] = {}
    paid: dict[str, Decimal] = {}
    drawdown: Decimal = ZERO
    equity: Decimal | None = None
    realized: Decimal | None = None
    model_driven: int = 0
    model_asked: int = 0

    def add(self, later: Tally) -> None:
        """What happened in the days that follow."""
        self.fills += later.fills
        self.denials += later.denials
        for reason, count in later.reasons.items():
            _count(self.reasons, reason, count)
        for level, times in later.alerts.items():
            self.alerts[level] = self.alerts.get(level, 0) + times
        for asset, amount in later.paid.items():
            _count(self.paid, asset, amount)
        self.drawdown = max(self.drawdown, later.drawdown)
        self.equity = later.equity if self.equity is None else self.equity
        self.realized = later.realized if self.realized is None else self.realized
        self.model_driven += later.model_driven
        self.model_asked += later.model_asked


class Mark(msgspec.Struct, kw_only=True):
    """Where the books stood when a day or a week began; None: not known."""

    equity: Decimal | None = None
    realized: Decimal | None = None


class Diary(msgspec.Struct, kw_only=True):
    """Days that are not told yet by their number since 1970, the week so far, and where both began; the rest is what was heard last."""

    days: dict[int, Tally] = {}
    week: Tally = msgspec.field(default_factory=Tally)
    week_days: int = 0
    day_began: Mark = msgspec.field(default_factory=Mark)
    week_began: Mark = msgspec.field(default_factory=Mark)
    day_end: int = 0
    realized: dict[int, Decimal] = {}
    model_driven: int = 0
    model_asked: int = 0
    trading_state: str = ""
    holdings: Holdings = msgspec.field(default_factory=Holdings)

    def take(self, event: Message, now: int) -> None:
        """Something happened at `now` (ns)."""
        match event:
            case EquityChanged():
                self._take_equity(event, now // DAY)
            case DecisionsMade():
                self._take_decisions(event, self._day(now))
            case ExecutionReport():
                self.holdings.take_report(event)
                self._day(now).fills += event.exec_type == "TRADE"
            case OrderDenied():
                tally = self._day(now)
                tally.denials += 1
                for reason in event.reasons:
                    _count(tally.reasons, reason, 1)
            case AlertRaised():
                alerts = self._day(now).alerts
                alerts[event.severity] = alerts.get(event.severity, 0) + 1
            case CapitalMoved():
                _count(self._day(now).paid, event.asset, event.amount)
            case PositionChanged():
                self.holdings.take_position(event)
            case FeedStatus():
                self.holdings.take_rules(event)
            case TradingStateChanged():
                self.trading_state = event.state

    def close_day(self, head: JournalHeadDeclared) -> tuple[str, ...]:
        """The reports that are due when a day is over: of the day, and of the week if it is over too. A day is told once."""
        if head.day_end <= self.day_end:
            return ()
        number = head.day_end // DAY
        tally = Tally()
        for each in sorted(each for each in self.days if each < number):
            tally.add(self.days.pop(each))
        heard = [each for each in self.realized if each < number]
        realized = self.realized[max(heard)] if heard else self.day_began.realized
        self.realized = {each: amount for each, amount in self.realized.items() if each >= number}
        ended = Mark(equity=head.equity, realized=realized)
        texts = (self._text(f"day {head.day}", tally, self.day_began, ended, head.quote),)
        is_week_over = _week(head.day_end) > _week(self.day_end) and self.day_end > 0
        if self.week_days == 0:
            self.week_began = self.day_began
        self.week.add(tally)
        self.week_days += 1
        if is_week_over or head.day_end == _monday(head.day_end):
            name = f"week to {head.day} ({self.week_days} {'days' if self.week_days > 1 else 'day'} told)"
            texts += (self._text(name, self.week, self.week_began, ended, head.quote),)
            self.week, self.week_days = Tally(), 0
        self.day_began, self.day_end = ended, head.day_end
        return texts

    # --- folding ------------------------------------------------------------------------------------------------

    def _day(self, now: int) -> Tally:
        number = now // DAY
        if number not in self.days:
            self.days[number] = Tally()
            if len(self.days) > DAYS_MAX:
                oldest, second = sorted(self.days)[:2]
                merged = self.days.pop(oldest)
                merged.add(self.days[second])
                self.days[second] = merged
        return self.days[number]

    def _take_equity(self, changed: EquityChanged, number: int) -> None:
        tally = self._day(number * DAY)
        tally.drawdown = max(tally.drawdown, changed.drawdown)
        if tally.equity is None:
            tally.equity, tally.realized = changed.equity, changed.realized_pnl
        self.realized[number] = changed.realized_pnl
        if len(self.realized) > DAYS_MAX:
            del self.realized[min(self.realized)]

    def _take_decisions(self, made: DecisionsMade, tally: Tally) -> None:
        """Its counts are of all times; below those of before they have begun anew."""
        is_anew = made.model_asked < self.model_asked or made.model_driven < self.model_driven
        tally.model_driven += made.model_driven - (0 if is_anew else self.model_driven)
        tally.model_asked += made.model_asked - (0 if is_anew else self.model_asked)
        self.model_driven, self.model_asked = made.model_driven, made.model_asked

    # --- wording ------------------------------------------------------------------------------------------------

    def _text(self, name: str, tally: Tally, began: Mark, ended: Mark, quote: str) -> str:
        start = tally.equity if began.equity is None else began.equity
        realized_before = tally.realized if began.realized is None else began.realized
        parts = [f"{name}: equity {_equity(start, ended.equity, quote, is_plain=not tally.paid)}"]
        if tally.paid:
            parts.append(f"paid in or out: {', '.join(f'{each:+f} {asset}' for asset, each in _sorted(tally.paid))}")
        if realized_before is not None and ended.realized is not None:
            parts.append(f"realized {ended.realized - realized_before:+,.2f}")
        parts.append(f"{_plural(tally.fills, 'fill')}, {_denials(tally)}")
        parts.append(f"worst drawdown {tally.drawdown * 100:.2f} %")
        parts.append(self.holdings.text())
        parts.append(_models(tally))
        parts.append(f"alerts: {counts_text(tally.alerts) or 'none'}")
        if self.trading_state not in ("", "ACTIVE"):
            parts.append(f"trading is {self.trading_state}")
        return one_line("; ".join(parts))


def _equity(start: Decimal | None, end: Decimal | None, quote: str, *, is_plain: bool) -> str:
    if end is None:
        return "not known"
    if start is None:
        return f"{end:,.2f} {quote}"
    told = f"{start:,.2f} to {end:,.2f} {quote}"
    return f"{told} ({(end - start) / start * 100:+.2f} %)" if is_plain and start > 0 else told


def _denials(tally: Tally) -> str:
    text = _plural(tally.denials, "denial")
    if not tally.reasons:
        return text
    reason, count = min(tally.reasons.items(), key=lambda each: (-each[1], each[0]))
    return f"{text} (most often {reason}: {count})"


def _models(tally: Tally) -> str:
    if tally.model_asked == 0:
        return "no model was asked"
    return f"{tally.model_driven} of {_plural(tally.model_asked, 'decision')} model-driven"


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _count(counts: dict[str, Any], name: str, more: Any) -> None:
    """Of bounded size, whatever names there are."""
    if name not in counts and len(counts) >= KINDS_MAX:
        name = OTHERS
    counts[name] = counts.get(name, 0) + more


def _sorted(amounts: dict[str, Decimal]) -> list[tuple[str, Decimal]]:
    return sorted(amounts.items())


def _week(ts: int) -> int:
    return (ts - ANCHOR["1w"]) // WEEK


def _monday(ts: int) -> int:
    return ANCHOR["1w"] + _week(ts) * WEEK
