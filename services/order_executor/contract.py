"""What the order executor reads and says."""

from libs.common.messages import (
    AccountRead,
    ExecutionReport,
    FeedMarks,
    FeedStatus,
    GenesisDeclared,
    InstrumentQuarantined,
    InstrumentReleased,
    OrderAnswered,
    OrderApproved,
    OrderLookedUp,
    OrderSubmitting,
    Reconciled,
    UserStreamChanged,
    VenueReported,
)
from libs.runtime.contract import Contract, Zone

CONSUMES = (FeedMarks, FeedStatus, GenesisDeclared, OrderApproved)
PRODUCES = (
    AccountRead,
    ExecutionReport,
    InstrumentQuarantined,
    InstrumentReleased,
    OrderAnswered,
    OrderLookedUp,
    OrderSubmitting,
    Reconciled,
    UserStreamChanged,
    VenueReported,
)

CONTRACT = Contract(
    service="order-executor",
    writer="exec",
    zone=Zone.EXEC,
    consumes=CONSUMES,
    produces=PRODUCES,
    hears_itself=(UserStreamChanged, VenueReported),
    calls_venues=True,
)
