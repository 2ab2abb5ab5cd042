"""Every alert of the system: how grave it is, what it means, and where its runbook is. A style test holds this to what the code raises.

`page` wakes somebody, `ticket` waits for daytime, `note` is for the record. Pages are for money and safety alone: whoever is woken for less stops
reading. Where one code is raised more or less gravely, `severities` names all of them, the gravest first; the text says which it is.

What is said when a trouble is over has a code of its own (`PROJECTION_UP`); its runbook is the trouble's. Codes that end in `*` stand for all that
begin so; the longest one that fits counts.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Severity = Literal["page", "ticket", "note"]
SEVERITIES: tuple[Severity, ...] = ("page", "ticket", "note")
"""The gravest first."""
RUNBOOKS = "docs/runbooks"


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One code. `family` is the runbook page it stands on; `ends` is the code of the trouble that this one says is over."""

    code: str
    severities: tuple[Severity, ...]
    family: str
    meaning: str
    ends: str = ""

    @property
    def severity(self) -> Severity:
        """The gravest it is raised with."""
        return self.severities[0]

    @property
    def is_prefix(self) -> bool:
        """Whether it stands for all codes that begin so."""
        return self.code.endswith("*")

    @property
    def anchor(self) -> str:
        """Where its runbook is: file and heading, from the root of the project."""
        named = (self.ends or self.code).removesuffix("*").rstrip("_")
        return f"{RUNBOOKS}/{self.family}.md#{named.lower().replace('_', '-')}"

    def fits(self, code: str) -> bool:
        """Whether an alert with this code is one of these."""
        return code.startswith(self.code[:-1]) if self.is_prefix else code == self.code


def alert_of(code: str) -> Alert | None:
    """What the catalogue says of a code; None if it does not know it (a plug-in may raise its own)."""
    fitting = (each for each in CATALOGUE if each.fits(code))
    return max(fitting, key=lambda each: (not each.is_prefix, len(each.code)), default=None)


def runbook_of(code: str) -> str:
    """The anchor of a code's runbook, from the root of the project; the index for a code that nobody knows."""
    known = alert_of(code)
    return known.anchor if known is not None else f"{RUNBOOKS}/README.md"


def _family(name: str, *lines: tuple[str, str, str]) -> tuple[Alert, ...]:
    """Alerts of one family, each as code, severities and meaning; `NEW<-OLD` is the code that says that OLD is over."""
    found = []
    for named, severities, meaning in lines:
        code, _, ends = named.partition("<-")
        graded = tuple(each for each in SEVERITIES if each in severities.split())
        found.append(Alert(code=code, severities=graded, family=name, meaning=meaning, ends=ends))
    return tuple(found)


_ORDERS = _family(
    "orders",
    ("ORDER_UNKNOWN", "page", "An order was sent and nobody knows whether the venue has it; its instrument is quarantined."),
    ("ORDER_SURFACED", "page", "The venue shows an order that had been given up as never sent."),
    ("ORDER_VANISHED", "page", "The venue no longer knows an order that had been open there."),
    ("IMPOSSIBLE_REPORT", "page", "The venue said something of an order that cannot follow from where it stood."),
    ("CONTRADICTORY_FILL", "page", "An execution names an order of ours and contradicts it; it was not booked."),
    ("OVERFILLED", "page", "An order was filled for more than was asked for; all of it is booked."),
    ("FOREIGN_ORDER", "ticket", "An open order at the venue is not ours."),
    ("FOREIGN_FILL", "ticket", "An execution on the account is not of an order of ours."),
    ("APPROVAL_UNANSWERED", "ticket", "The gate approved orders that the executor never reported on."),
    ("BREAKER_OPEN", "ticket", "A breaker of the executor holds entries back: a kind of call, or of order, keeps failing."),
    ("ENTRIES_TAKEN_BACK", "note", "An operator has entries that rest at the venue cancelled."),
)  # fmt: skip
_POSITIONS = _family(
    "positions",
    ("UNCOVERED", "page", "A position has had no stop for longer than is allowed; it is being sold."),
    ("SOFTWARE_STOP", "page", "The price is at or below a stop that has not sold; we are selling ourselves."),
    ("STOP_LOST", "page ticket", "A stop ended without having sold; it is being put back."),
    ("STOP_REJECTED", "page", "The venue refused a stop; a simpler kind is tried, and after the last one it is sold."),
    ("STOP_PASSED", "page", "The price was beyond the stop before the stop could be placed; it is being sold."),
    ("STOP_WITHOUT_FUNDS", "page", "The venue says that it does not have the coins that a stop should sell."),
    ("EXIT_REJECTED", "page", "The venue refused to sell; the guard is put back and the sale is tried again."),
    ("LIQUIDATED", "page", "The venue liquidated a position of ours."),
    ("POSITION_CLOSED_OUTSIDE", "page", "Somebody else sold a position of ours; it is booked as an exit."),
    ("POSITION_WITHDRAWN", "page", "Coins of a position have left the account; the position was made smaller."),
    ("MARKET_CLOSED", "page", "The venue does not trade an instrument that we hold or want."),
    ("POSITION_UNCOVERED", "ticket", "The books own less of an asset than the position they carry in it."),
    ("PROTECTION_IMPROVISED", "ticket", "A stop or exit was sent while the log could not be reached."),
    ("REPLACE_REFUSED", "ticket", "The venue does not replace a stop in one step; the old one is taken back first."),
    ("PAIR_REFUSED", "ticket", "The venue refused stop and target as a pair; the stop stands alone."),
    ("DUST", "ticket", "What is left of a position is too little for any order at the venue."),
    ("TARGET_REACHED", "note", "The price is at a target that no order at the venue holds; it is being sold."),
)  # fmt: skip
_RISK = _family(
    "risk",
    ("DRAWDOWN_HALT", "page", "The drawdown reached its last limit; trading is halted."),
    ("DRAWDOWN_NO_ENTRIES", "ticket", "The drawdown reached its second stage; nothing new is entered."),
    ("DRAWDOWN_HALF_RISK", "ticket", "The drawdown reached its first stage; a trade may risk half as much."),
    ("DRAWDOWN_EASED<-DRAWDOWN_HALF_RISK", "note", "A stage of the drawdown is well left."),
    ("LOSSES_IN_A_ROW", "page", "Several positions in a row lost money; nothing is entered for a while."),
    ("DRIFT_*", "page ticket note", "The book trades otherwise than the baseline it was declared to be held against."),
    ("RESUME_WITHOUT_REASON", "ticket", "Somebody wanted to resume without saying why; nothing was changed."),
    ("COMMAND_WITHOUT_EFFECT", "note", "An operator's command changed nothing, because it was so already."),
    ("MACRO_OVERRIDE_SET", "ticket", "An operator lets an instrument be entered against its weekly regime."),
    ("MACRO_OVERRIDE_USED", "ticket", "An entry was approved by an operator's override."),
    ("MACRO_OVERRIDE_REFUSED", "ticket", "An override was asked for and refused."),
    ("MACRO_OVERRIDE_REVOKED<-MACRO_OVERRIDE_SET", "ticket", "An operator took an override back."),
    ("MACRO_OVERRIDE_EXPIRED<-MACRO_OVERRIDE_SET", "note", "An override ran out."),
)  # fmt: skip
_VENUE = _family(
    "venue",
    ("KEY_REFUSED", "page", "The venue refuses our key: nothing can be read, guarded or sold."),
    ("KEY_UNSAFE", "page", "The key may do more than it should, or less than it must; nothing is entered."),
    ("VENUE_NOT_CHECKED", "ticket", "The venue does not say what our key may do."),
    ("CLOCK_DRIFT", "ticket", "Our clock and the venue's differ by more than is allowed."),
    ("FEES_HIGHER", "ticket", "The venue takes a higher fee than positions are sized by."),
)  # fmt: skip
_FEED = _family(
    "feed",
    ("FEED_DOWN", "page", "There are no prices from the home venue."),
    ("FEED_STALE", "ticket", "The prices are old; nothing is entered until they move."),
    ("FEED_FAILOVER", "ticket", "Another venue stands in for the home venue; nothing is entered."),
    ("FEED_POLLING", "ticket", "The sockets do not work; prices are polled."),
    ("FEED_RECOVERED<-FEED_DOWN", "note", "The home venue is live again, by its sockets."),
    ("PRICE_UNIT", "ticket", "A price is off by a power of ten and is not believed."),
    ("PRICE_DISLOCATED", "ticket", "A price is contradicted by two other venues and is not believed."),
    ("BAR_REVISED", "note", "A venue tells a closed bar otherwise than we heard it."),
    ("INDICATORS_COLD", "ticket", "A hole in the bars: an agent has no opinion until it is warm again."),
    ("LEVELS_COLD", "ticket", "A hole in the bars: there are no levels until enough bars have come."),
)  # fmt: skip
_MODEL = _family(
    "model",
    ("MODEL_ROUTE_CLOSED", "page", "The model's server refuses us for good; the rules decide alone."),
    ("MODEL_FAILING", "ticket", "The model failed several times in a row; the rules decide alone meanwhile."),
    ("MODEL_FAILURE_RATE", "ticket", "Too many of the last questions to the model failed."),
    ("MODEL_FAILURE_RATE_OVER<-MODEL_FAILURE_RATE", "note", "The model answers often enough again."),
    ("MODEL_BUDGET_SPENT", "ticket", "Today's money for the model is spent; the rules decide alone."),
    ("MODEL_BACK<-MODEL_FAILING", "note", "The model answers again."),
    ("MODEL_NOT_CONFIGURED", "note", "There is no model to ask."),
    ("MODEL_DISPROVED", "ticket", "The model's record is worse than a coin's; it is not heard any more."),
    ("MODEL_HEARD_AGAIN<-MODEL_DISPROVED", "note", "The model's record is no longer worse than a coin's."),
)  # fmt: skip
_BOOKS = _family(
    "books",
    ("NOT_RECONCILED", "page", "Our orders and holdings do not agree with the venue's account; nothing is entered."),
    ("BALANCE_MISMATCH", "ticket", "The ledger's balances differ from the venue's; nothing was adjusted."),
    ("BALANCE_ACCEPTED", "note", "An operator took a difference that no trade explains for capital."),
    ("PROJECTION_DOWN", "ticket", "The database is not written; trading goes on."),
    ("PROJECTION_UP<-PROJECTION_DOWN", "note", "The database is written again."),
    ("DATABASE_LAGS", "ticket", "The database is far behind the log."),
    ("DATABASE_LAGS_OVER<-DATABASE_LAGS", "note", "The database is near the log's end again."),
    ("ASSETS_UNVALUED", "note", "Assets without a price are not part of the equity."),
    ("COMMISSION_UNVALUED", "note", "A commission in an asset without a price is not part of a position's cost."),
)  # fmt: skip
_PEOPLE = _family(
    "people",
    ("CHANNEL_DOWN", "ticket", "The channel to people does not take messages; they wait."),
    ("CHANNEL_UP<-CHANNEL_DOWN", "note", "The channel works again."),
    ("MESSAGE_NOT_SENT", "ticket", "A message was refused again and again."),
)  # fmt: skip
_SYSTEM = _family(
    "system",
    ("CRASH_LOOP", "page", "The executor keeps crashing; nothing is entered until an operator resumes."),
    ("SERVICE_CRASH_LOOP", "page ticket", "A service is started again and again."),
    ("SERVICE_CRASH_LOOP_OVER<-SERVICE_CRASH_LOOP", "note", "A service has stopped starting again and again."),
    ("SERVICE_DOWN", "page ticket", "A service does not answer, or says that it cannot work."),
    ("SERVICE_DOWN_OVER<-SERVICE_DOWN", "note", "A service works again."),
    ("SERVICE_LAGS", "ticket", "A service is far behind the log."),
    ("SERVICE_LAGS_OVER<-SERVICE_LAGS", "note", "A service has caught up with the log."),
    ("EVENT_REJECTED", "ticket", "A service refused an event of the log; a copy of it is in DEAD."),
    ("DISK_FULL", "page", "The disk with the log is nearly full: soon nothing can be written, and trading stops."),
    ("DISK_FULL_OVER<-DISK_FULL", "note", "The disk has room again."),
    ("DISK_LOW", "ticket", "The disk with the log fills up."),
    ("DISK_LOW_OVER<-DISK_LOW", "note", "The disk has enough room again."),
    ("LOG_STORE_FULL", "page", "The log's store is nearly at its limit: soon no event can be written."),
    ("LOG_STORE_FULL_OVER<-LOG_STORE_FULL", "note", "The log's store has room again."),
    ("LOG_STORE_LOW", "ticket", "The log's store fills up."),
    ("LOG_STORE_LOW_OVER<-LOG_STORE_LOW", "note", "The log's store has enough room again."),
    ("CLOCK_OFFSET", "ticket", "Our clock differs from the log server's or the venue's."),
    ("CLOCK_OFFSET_OVER<-CLOCK_OFFSET", "note", "Our clock is right again."),
    ("BACKUP_OLD", "ticket", "The last backup is too old."),
    ("BACKUP_OLD_OVER<-BACKUP_OLD", "note", "There is a fresh backup."),
    ("RESTORE_UNPROVEN", "ticket", "No backup has been seen to come back for more than a month."),
    ("RESTORE_UNPROVEN_OVER<-RESTORE_UNPROVEN", "note", "A backup was brought back, and proven."),
    ("ALERTMANAGER_*", "page ticket note", "Prometheus' Alertmanager has brought an alert."),
)  # fmt: skip

_ACCESS = _family(
    "access",
    ("OPERATOR_CODES_LOCKED", "page", "An operator gave several wrong one-time codes in a row; his dangerous commands are locked."),
    ("ACCESS_REFUSED_OFTEN", "ticket", "Many wrong tokens come from one address."),
    ("TOKENS_UNREADABLE", "ticket", "The file of tokens cannot be believed: nobody is let into console and API."),
    ("TOKENS_UNREADABLE_OVER<-TOKENS_UNREADABLE", "note", "The file of tokens can be believed again."),
)  # fmt: skip

CATALOGUE: tuple[Alert, ...] = (
    *_ORDERS,
    *_POSITIONS,
    *_RISK,
    *_VENUE,
    *_FEED,
    *_MODEL,
    *_BOOKS,
    *_PEOPLE,
    *_SYSTEM,
    *_ACCESS,
)
"""Every alert that services and libraries raise."""
FAMILIES: dict[str, str] = {
    "orders": "Orders",
    "positions": "Positions and their stops",
    "risk": "Risk and operators",
    "venue": "Our key, our clock and fees at the venue",
    "feed": "Prices and bars",
    "model": "The model",
    "books": "Books and database",
    "people": "The way to people",
    "system": "Services, disk, log, backup",
    "access": "Who may give orders",
}
"""The runbook pages by file name, with their titles."""
