"""Every event type of the log, one name each. `ALL` is the whole language; the codec knows no other."""

from __future__ import annotations

from libs.common.messages.base import (
    Answer,
    Message,
)
from libs.common.messages.execution import (
    AccountRead,
    Balance,
    ExecType,
    ExecutionReport,
    InstrumentQuarantined,
    InstrumentReleased,
    OrderAnswered,
    OrderLookedUp,
    OrderRole,
    OrderSubmitting,
    OrdStatus,
    Reconciled,
    UserStreamChanged,
    VenueFill,
    VenueOrder,
    VenueReported,
)
from libs.common.messages.feed import (
    Bar,
    BarRevised,
    FeedBars,
    FeedHistory,
    FeedMarks,
    FeedStatus,
    InstrumentSpec,
    Mark,
    PriceTrustChanged,
    PrintRejected,
    QuoteChanged,
    Timeframe,
    TradePrinted,
    Trust,
)
from libs.common.messages.ledger import (
    EquityChanged,
    JournalPosted,
    PositionChanged,
    Posting,
)
from libs.common.messages.people import (
    GenesisDeclared,
    MessageSent,
    OperatorCommanded,
    PersonNotified,
)
from libs.common.messages.service import (
    AlertRaised,
    EventRejected,
    RequestExpired,
    RequestInterrupted,
    ServiceStarted,
    TimerFired,
)
from libs.common.messages.trading import (
    AgentSignals,
    Check,
    OrderApproved,
    OrderDenied,
    OrderIntent,
    OrdType,
    Side,
    Signal,
    TimeInForce,
    TradingState,
    TradingStateChanged,
)

ALL: tuple[type[Message], ...] = tuple(
    sorted(
        (
            found
            for found in list(globals().values())
            if isinstance(found, type) and issubclass(found, Message) and found not in (Message, Answer)
        ),
        key=lambda found: found.__name__,
    )
)

__all__ = [
    "ALL",
    "AccountRead",
    "AgentSignals",
    "AlertRaised",
    "Answer",
    "Balance",
    "Bar",
    "BarRevised",
    "Check",
    "EquityChanged",
    "EventRejected",
    "ExecType",
    "ExecutionReport",
    "FeedBars",
    "FeedHistory",
    "FeedMarks",
    "FeedStatus",
    "GenesisDeclared",
    "InstrumentQuarantined",
    "InstrumentReleased",
    "InstrumentSpec",
    "JournalPosted",
    "Mark",
    "Message",
    "MessageSent",
    "OperatorCommanded",
    "OrdStatus",
    "OrdType",
    "OrderAnswered",
    "OrderApproved",
    "OrderDenied",
    "OrderIntent",
    "OrderLookedUp",
    "OrderRole",
    "OrderSubmitting",
    "PersonNotified",
    "PositionChanged",
    "Posting",
    "PriceTrustChanged",
    "PrintRejected",
    "QuoteChanged",
    "Reconciled",
    "RequestExpired",
    "RequestInterrupted",
    "ServiceStarted",
    "Side",
    "Signal",
    "TimeInForce",
    "Timeframe",
    "TimerFired",
    "TradePrinted",
    "TradingState",
    "TradingStateChanged",
    "Trust",
    "UserStreamChanged",
    "VenueFill",
    "VenueOrder",
    "VenueReported",
]
