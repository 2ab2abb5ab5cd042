"""Runs the levels agent."""

from libs.runtime.process import run
from services.signal_agents.levels.contract import CONTRACT
from services.signal_agents.levels.machine import LevelsMachine
from services.signal_agents.levels.settings import Settings

if __name__ == "__main__":
    run(CONTRACT, LevelsMachine, Settings)
