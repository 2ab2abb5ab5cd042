"""What the portfolio reads and says."""

from libs.common.messages import (
    AgentSignals,
    EquityChanged,
    ExecutionReport,
    FeedMarks,
    FeedStatus,
    FlattenOrdered,
    OrderApproved,
    OrderDenied,
    OrderIntent,
    PositionChanged,
)
from libs.runtime.contract import Contract, Zone

CONSUMES = (
    AgentSignals,
    EquityChanged,
    ExecutionReport,
    FeedMarks,
    FeedStatus,
    FlattenOrdered,
    OrderApproved,
    OrderDenied,
    PositionChanged,
)
PRODUCES = (OrderIntent,)

CONTRACT = Contract(service="portfolio", writer="portfolio", zone=Zone.CORE, consumes=CONSUMES, produces=PRODUCES)
