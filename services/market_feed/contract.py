"""What the market feed reads and says."""

from libs.common.messages import BarRevised, FeedBars, FeedHistory, FeedMarks, FeedStatus, PriceTrustChanged
from libs.runtime.contract import Contract, Zone

CONSUMES = ()
PRODUCES = (BarRevised, FeedBars, FeedHistory, FeedMarks, FeedStatus, PriceTrustChanged)

CONTRACT = Contract(
    service="market-feed",
    writer="feed",
    zone=Zone.FEED,
    consumes=CONSUMES,
    produces=PRODUCES,
    hears_itself=(BarRevised, FeedBars, FeedHistory, FeedMarks, FeedStatus, PriceTrustChanged),
    calls_venues=True,
)
