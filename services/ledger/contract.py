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
from libs.runtime.contract import Contract, Reader, Zone

CONSUMES = (ExecutionReport, FeedMarks, FeedStatus, Reconciled)
PRODUCES = (EquityChanged, JournalPosted, PositionChanged)

PROJECTION = Reader(
    durable="ledger-sql",
    filters=("agent.*.signals", "exec.report.*", "exec.submitting.*", "ledger.>", "portfolio.intent.*", "risk.>"),
)

CONTRACT = Contract(
    service="ledger",
    writer="ledger",
    zone=Zone.CORE,
    consumes=CONSUMES,
    produces=PRODUCES,
    readers=(PROJECTION,),
)
