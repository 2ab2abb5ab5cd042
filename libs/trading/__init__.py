"""Pure domain arithmetic that more than one service needs."""
