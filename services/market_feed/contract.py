"""What the market feed reads and says."""

from libs.common.messages import FeedBars, FeedHistory, FeedMarks, FeedStatus
from libs.runtime.contract import Contract, Zone

CONSUMES = ()
PRODUCES = (FeedBars, FeedHistory, FeedMarks, FeedStatus)

CONTRACT = Contract(
    service="market-feed",
    writer="feed",
    zone=Zone.FEED,
    consumes=CONSUMES,
    produces=PRODUCES,
    hears_itself=(FeedBars, FeedHistory, FeedStatus),
    calls_venues=True,
)
