"""The price filter over a recording: the same prints in the same order, judged again.

    bulkhead record --out FOLDER                                     while the stack runs
    python -m services.market_feed.refilter FOLDER [--venue binance]  afterwards, as often as you like, with other limits

`replay --verify` takes what the feed said as input: a price is a fact about the world, not derived from the log. This derives it:
MARKET has every print before it was judged, and every rejection; a recording of it through today's filter gives today's rejections.
What is not recorded are the instants at which nothing came; the filter is looked at every 250 ms of the recorded time instead.

Of each instrument nothing is compared before its price is believed for the first time: the recording may begin in the middle.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import msgspec

from libs.common.messages import Message, PrintRejected, QuoteChanged, TradePrinted
from libs.common.timeframe import MILLISECOND
from services.market_feed.doubt import SanityLimits, mid
from services.market_feed.sanity import Judgement, PriceFilter

LOOK_NS = 250 * MILLISECOND


class Refiltered(msgspec.Struct):
    """What today's filter makes of a recording, beside what the filter of that day made of it. Trades are named by instrument and id."""

    prints: int = 0
    rejected: dict[str, str] = {}
    rejected_then: dict[str, str] = {}
    reasons: dict[str, int] = {}
    trust_changes: int = 0

    @property
    def differences(self) -> dict[str, tuple[str, str]]:
        """Trades judged otherwise: the reason then and the reason now, "" where it was believed."""
        names = {**self.rejected_then, **self.rejected}
        return {
            name: (self.rejected_then.get(name, ""), self.rejected.get(name, ""))
            for name in names
            if (name in self.rejected_then) != (name in self.rejected)
        }


class _Bench:
    """One filter an instrument, and the recorded time."""

    def __init__(self, venue: str, limits: SanityLimits):
        self.result = Refiltered()
        self._venue = venue
        self._limits = limits
        self._filters: dict[str, PriceFilter] = {}
        self._believed: dict[str, bool] = {}
        self._looked_at = 0
        self._reasons: Counter[str] = Counter()

    def take(self, message: Message) -> None:
        """One recorded message, in the order of MARKET."""
        self._pass(message.ts_init)
        match message:
            case TradePrinted() | QuoteChanged() if message.venue == self._venue:
                self.result.prints += 1
                belief = self._filter(message.instrument)
                judge = belief.trade if isinstance(message, TradePrinted) else belief.quote
                self._note(message.instrument, judge(message, message.ts_init))  # type: ignore[operator]
            case QuoteChanged():
                self._filter(message.instrument).opinion(message.venue, mid(message), message.ts_init)
            case PrintRejected(kind="TRADE") if message.venue == self._venue and self._counts(message.instrument):
                self.result.rejected_then[f"{message.instrument} {message.trade_id}"] = message.reason

    def finish(self) -> Refiltered:
        """The result."""
        self.result.reasons = dict(sorted(self._reasons.items()))
        self.result.trust_changes = sum(len(belief.changes) for belief in self._filters.values())
        return self.result

    def _filter(self, instrument: str) -> PriceFilter:
        if instrument not in self._filters:
            self._filters[instrument] = PriceFilter(self._limits)
        return self._filters[instrument]

    def _pass(self, now: int) -> None:
        if now - self._looked_at >= LOOK_NS:
            self._looked_at = now
            for instrument, belief in self._filters.items():
                self._note(instrument, belief.look(now))

    def _counts(self, instrument: str) -> bool:
        return self._believed.get(instrument, False)

    def _note(self, instrument: str, judgement: Judgement) -> None:
        if self._counts(instrument):
            for rejection in judgement.rejected:
                self._reasons[rejection.reason] += 1
                if isinstance(rejection.print, TradePrinted):
                    self.result.rejected[f"{instrument} {rejection.print.trade_id}"] = rejection.reason
        elif self._filter(instrument).trust == "TRUSTED":
            self._believed[instrument] = True


def refilter(messages: Iterable[Message], venue: str, limits: SanityLimits | None = None) -> Refiltered:
    """Judge the prints of `venue` again; quotes of other venues are second opinions, as they were live."""
    bench = _Bench(venue, limits or SanityLimits())
    for message in messages:
        bench.take(message)
    return bench.finish()


def main(arguments: list[str] | None = None) -> int:
    """Print what differs as JSON; 0 if nothing does, 1 if something does, 66 if there is no such recording."""
    from libs.runtime.recording import Recording  # pyarrow is only for whoever reads recordings
    from libs.runtime.recording_manifest import RecordingError

    parser = argparse.ArgumentParser(
        prog="python -m services.market_feed.refilter", description="judge a recording again"
    )
    parser.add_argument("folder", type=Path, help="what `bulkhead record --out` has written")
    parser.add_argument("--venue", default="binance", help="whose prints are judged")
    given = parser.parse_args(arguments)
    try:
        recording = Recording(given.folder)
        result = refilter((message for _, message in recording.messages()), given.venue)
    except RecordingError as error:
        print(f"{given.folder}: {error}", file=sys.stderr)
        return 66
    shown = {
        "prints": result.prints,
        "rejected": len(result.rejected),
        "rejected_then": len(result.rejected_then),
        "reasons": result.reasons,
        "trust_changes": result.trust_changes,
        "differences": result.differences,
    }
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(shown), indent=2).decode() + "\n")
    return 1 if result.differences else 0


if __name__ == "__main__":
    sys.exit(main())
