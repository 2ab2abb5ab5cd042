"""Every wish to trade passes here: all checks with their numbers, one signed verdict."""
