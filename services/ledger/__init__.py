"""Double-entry books of everything filled: positions, profit, equity; and their projection into SQL."""
