"""Venue frames in, closed bars and trustworthy marks out: the only source of prices."""
