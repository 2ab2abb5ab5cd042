"""What the portfolio shows of itself; it touches nothing else of the world."""
