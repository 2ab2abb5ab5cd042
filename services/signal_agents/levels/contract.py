"""What the levels agent reads and says."""

from libs.common.messages import FeedBars, FeedHistory, FeedStatus, LevelsMapped
from libs.runtime.contract import Contract, Zone

CONSUMES = (FeedBars, FeedHistory, FeedStatus)
PRODUCES = (LevelsMapped,)

CONTRACT = Contract(service="agent-levels", writer="agent.levels", zone=Zone.CORE, consumes=CONSUMES, produces=PRODUCES)
