"""What the gate shows of itself; it asks nothing of the world."""
