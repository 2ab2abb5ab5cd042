"""Whether what a strategy shows is worth anything: look-ahead first, then costs, chance, folds and noise, and what may be claimed."""
