"""The trend agent: EMA, ADX, RSI and ATR on closed bars, an opinion per instrument."""
