"""What the model agent reads and says."""

from libs.common.messages import FeedBars, ModelAnswered
from libs.runtime.contract import Contract, Zone

CONSUMES = (FeedBars,)
PRODUCES = (ModelAnswered,)

CONTRACT = Contract(service="agent-llm", writer="agent.llm", zone=Zone.MODEL, consumes=CONSUMES, produces=PRODUCES)
