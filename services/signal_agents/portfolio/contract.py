"""What the portfolio reads and says."""

from libs.common.messages import (
    AgentSignals,
    AgentsScored,
    DecisionsMade,
    EntriesProposed,
    EntryJudged,
    EquityChanged,
    ExecutionReport,
    FeedBars,
    FeedMarks,
    FeedStatus,
    FlattenOrdered,
    LevelsMapped,
    MacroOverrideChanged,
    MacroRegimes,
    OrderApproved,
    OrderDenied,
    OrderIntent,
    PositionChanged,
)
from libs.runtime.contract import Contract, Zone

CONSUMES = (
    AgentSignals,
    EntryJudged,
    EquityChanged,
    ExecutionReport,
    FeedBars,
    FeedMarks,
    FeedStatus,
    FlattenOrdered,
    LevelsMapped,
    MacroOverrideChanged,
    MacroRegimes,
    OrderApproved,
    OrderDenied,
    PositionChanged,
)
PRODUCES = (AgentsScored, DecisionsMade, EntriesProposed, OrderIntent)

CONTRACT = Contract(service="portfolio", writer="portfolio", zone=Zone.CORE, consumes=CONSUMES, produces=PRODUCES)
