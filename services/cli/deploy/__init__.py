"""What a deployment in containers needs of us: who runs there and with what, its secrets, and the log opened before anybody starts."""
