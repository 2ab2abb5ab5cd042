"""The trades of one instrument as the venue that speaks counts them: what is missing, what comes twice, what was set aside.

Where ids are consecutive, a step of one proves that nothing was lost, and any other step damages the minutes between. Where they
are not, nothing proves it: then every minute is damaged, and gets the venue's own bar. A trade that follows by its id and is back in
an earlier minute by its time has a time nobody may believe: it belongs somewhere between its neighbours, so their minutes are damaged.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum

from libs.common.messages import Bar, TradePrinted
from libs.common.timeframe import bar_open
from libs.trading.bars import VOLUME_UNIT, BarBuilder, Closing, volume_units


class Settled(StrEnum):
    """What became of a minute whose own bar the venue has told."""

    AGREES = "AGREES"
    LOST_TRADES = "LOST_TRADES"
    REST_IS_BEHIND = "REST_IS_BEHIND"


class Verdict(StrEnum):
    """How a trade stands in the venue's count."""

    FOLLOWS = "FOLLOWS"
    HOLE_BEFORE = "HOLE_BEFORE"
    DUPLICATE = "DUPLICATE"
    BACK_IN_TIME = "BACK_IN_TIME"


class Tape:
    """One instrument at one venue. `since` (ns, a minute's boundary) is where its bars begin, `seed` the bars before."""

    def __init__(self, instrument: str, venue: str, *, since: int, seed: Iterable[Bar], counts: bool):
        self.builder = BarBuilder(instrument, venue, since=since)
        self.builder.seed(seed)
        self.listens_since = 0
        self._counts = counts
        self._last_id: int | None = None
        self._last_ts = 0
        self._is_back = False
        self._aside: dict[int, int] = {}

    def note(self, trade: TradePrinted) -> Verdict:
        """A trade was printed, whatever will be thought of its price."""
        trade_id, ts, last_id = int(trade.trade_id), trade.ts_event, self._last_id
        if last_id is not None and trade_id <= last_id and ts <= self._last_ts:
            return Verdict.DUPLICATE
        follows = last_id is not None and trade_id == last_id + 1
        if not (follows and self._counts):  # a lower id at a later time: the venue has begun to count anew
            self.builder.damage(min(self._last_ts or self.builder.closed_until or ts, ts), ts)
        is_back = follows and bar_open(ts, "1m") < bar_open(self._last_ts, "1m")
        if is_back or self._is_back:
            self.builder.damage(min(ts, self._last_ts), max(ts, self._last_ts))
        self._is_back = is_back
        self._last_id, self._last_ts = trade_id, max(ts, self._last_ts)
        if is_back:
            return Verdict.BACK_IN_TIME
        return Verdict.FOLLOWS if follows or last_id is None or not self._counts else Verdict.HOLE_BEFORE

    def fold(self, trade: TradePrinted) -> bool:
        """A believed trade enters its minute; False if that has left already."""
        return self.builder.trade(trade.ts_event, trade.px, trade.qty)

    def set_aside(self, trade: TradePrinted) -> None:
        """A rejected trade does not; but the venue counts it, and may count it into its own bar."""
        opens = bar_open(trade.ts_event, "1m")
        if opens >= (self.builder.closed_until or 0):
            self._aside[opens] = self._aside.get(opens, 0) + volume_units(trade.qty)

    def looks_whole(self, opens: int) -> bool:
        """Whether nothing shows that trades of the minute at `opens` are missing."""
        return self._last_id is not None and not self.builder.is_damaged(opens)

    def settle(
        self, opens: int, bar: Bar | None, held: Sequence[TradePrinted], *, is_known: bool, is_late: bool
    ) -> Settled:
        """The venue's own bar of a minute came: None if it had no trades; `is_known` False if it cannot be believed.

        Where ours was whole, but for what was set aside or is held, ours stays: the venue's own contains what we do not believe. If
        it looked whole and was not, its socket loses trades without a trace. If REST knows less than we heard, it is behind its own
        stream, and the minute waits for it; once it `is_late` the venue's word counts, because ours may have holes, too.
        """
        if not self.looks_whole(opens):
            self.builder.repair(opens, bar)
            return Settled.LOST_TRADES if self._missed(opens, bar) else Settled.AGREES
        ours = round(self.builder.volume_of(opens) * VOLUME_UNIT) + self._aside.get(opens, 0)
        ours += sum(volume_units(each.qty) for each in held if bar_open(each.ts_event, "1m") == opens)
        told = volume_units(bar.volume) if bar is not None else 0
        if not is_known or ours == told:
            self.builder.affirm(opens)
            return Settled.AGREES
        if ours > told and not is_late:
            return Settled.REST_IS_BEHIND
        self.builder.repair(opens, bar)
        return Settled.LOST_TRADES

    def _missed(self, opens: int, bar: Bar | None) -> bool:
        """Whether the venue counts trades of a minute for all of which we listened, and we have never heard one."""
        has_traded = bar is not None and bar.volume > 0
        return has_traded and self._last_id is None and 0 < self.listens_since < opens

    def close_until(self, ts: int) -> list[Closing]:
        """Close every minute that ended at or before `ts` (see `BarBuilder.close_until`)."""
        self._aside = {opens: units for opens, units in self._aside.items() if opens >= ts}
        return self.builder.close_until(ts)
