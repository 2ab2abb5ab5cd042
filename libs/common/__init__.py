"""The language of the log: messages, codec, subjects, ids, money, instruments and time."""
