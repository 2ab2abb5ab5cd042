"""Tells people what matters, at least once, and never delays an order."""
