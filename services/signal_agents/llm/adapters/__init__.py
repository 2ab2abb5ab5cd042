"""The way to the model and back: the client, what it may spend, and whether it is worth trying."""
