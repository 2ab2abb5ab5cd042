"""The only holder of exchange keys: submits approved orders once, protects positions, never guesses."""
