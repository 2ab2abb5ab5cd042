"""Historic bars from other people's files: CSV, Binance archives, Parquet, freqtrade feather and our own datasets, checked before use."""
