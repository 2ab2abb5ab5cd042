"""The engines that `benchmarks.backtest_peers` lets play the same bars, each a script of its own in a process of its own."""
