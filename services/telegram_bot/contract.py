"""What the bot reads and says."""

from libs.common.messages import (
    AccessRefused,
    CancelCommanded,
    FlattenCommanded,
    MuteCommanded,
    OperatorCommanded,
)
from libs.common.subjects import TRADING_ROOTS, writer_filter
from libs.runtime.contract import Contract, Reader, Zone

CONSUMES = ()
PRODUCES = (AccessRefused, CancelCommanded, FlattenCommanded, MuteCommanded, OperatorCommanded)

WHOLE_LOG = Reader(durable="telegram-bot-log", filters=tuple(writer_filter(root) for root in TRADING_ROOTS))

CONTRACT = Contract(
    service="telegram-bot",
    writer="ops.telegram",
    zone=Zone.EDGE,
    consumes=CONSUMES,
    produces=PRODUCES,
    readers=(WHOLE_LOG,),
)
