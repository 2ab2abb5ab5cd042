"""The edge to the venue: the only code that holds exchange keys."""
