"""What the risk gate reads and says."""

from libs.common.messages import (
    AgentSignals,
    BreakerChanged,
    CapitalMoved,
    DecisionsMade,
    EquityChanged,
    ExecutionReport,
    FeedBars,
    FeedHistory,
    FeedMarks,
    FeedStatus,
    FlattenCommanded,
    FlattenOrdered,
    InstrumentQuarantined,
    InstrumentReleased,
    LevelsMapped,
    MacroOverrideChanged,
    MacroOverrideCommanded,
    MacroRegimes,
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
    AgentSignals,
    BreakerChanged,
    CapitalMoved,
    DecisionsMade,
    EquityChanged,
    ExecutionReport,
    FeedBars,
    FeedHistory,
    FeedMarks,
    FeedStatus,
    FlattenCommanded,
    InstrumentQuarantined,
    InstrumentReleased,
    MacroOverrideCommanded,
    MacroRegimes,
    LevelsMapped,
    OperatorCommanded,
    OrderIntent,
    PositionChanged,
    Reconciled,
)
PRODUCES = (FlattenOrdered, MacroOverrideChanged, OrderApproved, OrderDenied, TradingStateChanged)

CONTRACT = Contract(service="risk-gate", writer="risk", zone=Zone.CORE, consumes=CONSUMES, produces=PRODUCES)
