"""The workbench: market data from files, backtests over it, and what may be claimed of their results."""
