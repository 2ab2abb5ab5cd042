"""The venue's sockets and REST, through ccxt."""
