"""One core, four shells: live (NATS), replay (a recorded log), backtest (history in one process), simulate (seeded faults)."""
