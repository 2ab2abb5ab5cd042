"""A small backtest whose outcome is on record: whoever changes what the system decides must say why."""
