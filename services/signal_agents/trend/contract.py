"""What the trend agent reads and says."""

from libs.common.messages import AgentSignals, FeedBars, FeedHistory
from libs.runtime.contract import Contract, Zone

CONSUMES = (FeedBars, FeedHistory)
PRODUCES = (AgentSignals,)

CONTRACT = Contract(service="agent-trend", writer="agent.trend", zone=Zone.CORE, consumes=CONSUMES, produces=PRODUCES)
