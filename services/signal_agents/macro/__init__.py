"""The macro agent: the weekly regime of each instrument, from closed weeks only."""
