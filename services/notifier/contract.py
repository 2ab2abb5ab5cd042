"""What the notifier reads and says."""

from libs.common.messages import (
    AlertRaised,
    CapitalMoved,
    DecisionsMade,
    EquityChanged,
    ExecutionReport,
    FeedStatus,
    JournalHeadDeclared,
    LiveUnlocked,
    MessageSent,
    MuteCommanded,
    OrderDenied,
    PersonNotified,
    PositionChanged,
    TradingStateChanged,
)
from libs.runtime.contract import Contract, Zone

CONSUMES = (
    AlertRaised,
    CapitalMoved,
    DecisionsMade,
    EquityChanged,
    ExecutionReport,
    FeedStatus,
    JournalHeadDeclared,
    LiveUnlocked,
    MuteCommanded,
    OrderDenied,
    PositionChanged,
    TradingStateChanged,
)
PRODUCES = (MessageSent, PersonNotified)

CONTRACT = Contract(service="notifier", writer="notify", zone=Zone.EDGE, consumes=CONSUMES, produces=PRODUCES)
