"""What the risk gate reads and says."""

from libs.common.messages import (
    BreakerChanged,
    EquityChanged,
    ExecutionReport,
    FeedMarks,
    FeedStatus,
    InstrumentQuarantined,
    InstrumentReleased,
    LevelsMapped,
    OperatorCommanded,
    OrderApproved,
    OrderDenied,
    OrderIntent,
    PositionChanged,
    Reconciled,
    TradingStateChanged,
)
from libs.runtime.contract import Contract, Zone

CONSUMES = (
    BreakerChanged,
    EquityChanged,
    ExecutionReport,
    FeedMarks,
    FeedStatus,
    InstrumentQuarantined,
    InstrumentReleased,
    LevelsMapped,
    OperatorCommanded,
    OrderIntent,
    PositionChanged,
    Reconciled,
)
PRODUCES = (OrderApproved, OrderDenied, TradingStateChanged)

CONTRACT = Contract(service="risk-gate", writer="risk", zone=Zone.CORE, consumes=CONSUMES, produces=PRODUCES)
