"""A recorded log played again: what the feed and the operator said then is told again, and everything else happens anew.

This is not a replay (`libs.runtime.replay`), which reads recorded answers and must come to the same bytes. Here the machines decide, the
paper venue fills, and the result is what would have happened: with the recorded settings and a venue that meets the same market, what did.
Without a `tape` of that market the venue knows what the feed told: the marks, of which any quantity can be had.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from libs.common.codec import BadEvent, decode_from
from libs.common.messages import (
    FeedMarks,
    FeedStatus,
    InstrumentSpec,
    Message,
    Reconciled,
    ServiceStarted,
    UserStreamChanged,
)
from libs.research.cast import CAST, cast
from libs.runtime.adapter import LogEntry
from libs.runtime.backtest import Backtest, Watch
from libs.runtime.core import settings_of
from libs.runtime.registry import contract_of, machine_of
from libs.trading.fill_model import AS_QUOTED, FillModel
from libs.trading.venue import SpotVenue, VenueUpdate

DEPTH = 1e9
"""How much can be had at a mark, in base currency: the log does not say, and the fill model limits it."""

Tape = Callable[[SpotVenue, int], list[VenueUpdate]]
"""Shows the venue its market up to an instant (ns) and returns what that did to the account."""


class Recorded:
    """What of a log is needed to play it again: the words of the feed and of people, and the settings, rules and cash of its beginning."""

    def __init__(self, entries: Iterable[LogEntry]):
        self.told: list[Message] = []
        self.settings: dict[str, Any] = {}
        self.specs: tuple[InstrumentSpec, ...] = ()
        self.cash: dict[str, Decimal] = {}
        writers = {contract_of(service).writer: service for service in CAST}
        for entry in entries:
            try:
                message = decode_from(entry.subject, entry.payload)
            except BadEvent:  # it was answered then; nobody acted on it
                continue
            service = writers.get(message.producer)
            if isinstance(message, ServiceStarted) and service is not None and service not in self.settings:
                self.settings[service] = settings_of(machine_of(service), message)
            elif type(message).is_source and (message.producer == "feed" or _is_of_a_person(message)):
                self.told.append(message)
                if isinstance(message, FeedStatus) and not self.specs:
                    self.specs = message.specs
            elif isinstance(message, Reconciled) and not self.cash:
                self.cash = {each.asset: each.free + each.locked for each in message.balances}


def _is_of_a_person(message: Message) -> bool:
    """Whether somebody has said it; that a door was opened moves nobody."""
    return message.producer.startswith("ops.") and not isinstance(message, ServiceStarted)


def play_again(
    recorded: Recorded,
    watch: Watch,
    *,
    settings: Mapping[str, Any] | None = None,
    model: FillModel = AS_QUOTED,
    tape: Tape | None = None,
) -> Backtest:
    """Let everything behind the feed happen anew; `settings` (by service) in place of the recorded ones.

    Raises:
        ValueError: the log does not hold what is needed: the words of a feed, the rules of its instruments, balances.
    """
    if not (recorded.told and recorded.specs and recorded.cash):
        raise ValueError("the log holds no market to play again: no prices, no rules of instruments or no balances")
    venue = SpotVenue({each.instrument: each for each in recorded.specs}, dict(recorded.cash), model)
    used = {**recorded.settings, **(settings or {})}
    begin = recorded.told[0].ts_init
    test = Backtest(cast(used, venue), code_version="backtest", begin=begin, watch=watch)
    test.tell("exec", UserStreamChanged(connected=True, reason="backtest", ts_event=begin, ts_init=begin))
    for message in recorded.told:
        now = max(test.now, message.ts_init)
        test.advance(now)
        updates = tape(venue, now) if tape is not None else _as_marked(venue, message)
        for update in updates:
            test.tell("exec", update.reported(now))
        test.tell(message.producer, message)
    return test


def _as_marked(venue: SpotVenue, message: Message) -> list[VenueUpdate]:
    updates = list(venue.advance(message.ts_init))
    if isinstance(message, FeedMarks):
        for mark in message.marks:
            updates += venue.on_quote(mark.instrument, mark.bid_px, DEPTH, mark.ask_px, DEPTH, message.ts_init)
            updates += venue.on_trade(mark.instrument, mark.last_px, DEPTH, message.ts_init)
    return updates
