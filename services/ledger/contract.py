"""What the ledger reads and says."""

from libs.common.messages import (
    EquityChanged,
    ExecutionReport,
    FeedMarks,
    FeedStatus,
    JournalPosted,
    PositionChanged,
    Reconciled,
)
from libs.runtime.contract import Contract, Zone

CONSUMES = (ExecutionReport, FeedMarks, FeedStatus, Reconciled)
PRODUCES = (EquityChanged, JournalPosted, PositionChanged)

CONTRACT = Contract(service="ledger", writer="ledger", zone=Zone.CORE, consumes=CONSUMES, produces=PRODUCES)
