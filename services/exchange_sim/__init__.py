"""A venue for tests and paper trading that speaks Binance Spot REST and WebSocket to unmodified ccxt."""
