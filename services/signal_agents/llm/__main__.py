"""Runs the model agent."""

from libs.runtime.process import run
from services.signal_agents.llm.adapters.model import ModelAdapter
from services.signal_agents.llm.contract import CONTRACT
from services.signal_agents.llm.machine import LlmMachine
from services.signal_agents.llm.settings import Settings

if __name__ == "__main__":
    run(CONTRACT, LlmMachine, Settings, adapter=ModelAdapter)
