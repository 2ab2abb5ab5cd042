"""Runs the trend agent."""

from libs.runtime.process import run
from services.signal_agents.trend.contract import CONTRACT
from services.signal_agents.trend.machine import TrendMachine
from services.signal_agents.trend.settings import Settings

if __name__ == "__main__":
    run(CONTRACT, TrendMachine, Settings)
