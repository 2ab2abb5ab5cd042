"""What the notifier reads and says."""

from libs.common.messages import (
    AlertRaised,
    ExecutionReport,
    JournalHeadDeclared,
    LiveUnlocked,
    MessageSent,
    OrderDenied,
    PersonNotified,
    TradingStateChanged,
)
from libs.runtime.contract import Contract, Zone

CONSUMES = (AlertRaised, ExecutionReport, JournalHeadDeclared, LiveUnlocked, OrderDenied, TradingStateChanged)
PRODUCES = (MessageSent, PersonNotified)

CONTRACT = Contract(service="notifier", writer="notify", zone=Zone.EDGE, consumes=CONSUMES, produces=PRODUCES)
