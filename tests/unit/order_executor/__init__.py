"""The order executor."""
