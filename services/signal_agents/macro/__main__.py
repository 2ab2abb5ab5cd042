"""Runs the macro agent."""

from libs.runtime.process import run
from services.signal_agents.macro.contract import CONTRACT
from services.signal_agents.macro.machine import MacroMachine
from services.signal_agents.macro.settings import Settings

if __name__ == "__main__":
    run(CONTRACT, MacroMachine, Settings)
