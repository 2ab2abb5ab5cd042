"""All dashboards."""

from services.cli.monitoring.boards_of_the_book import EXECUTION, PERFORMANCE, TRADING_OVERVIEW
from services.cli.monitoring.boards_of_the_machine import AGENTS, SYSTEM_HEALTH

BOARDS = (TRADING_OVERVIEW, PERFORMANCE, SYSTEM_HEALTH, EXECUTION, AGENTS)
