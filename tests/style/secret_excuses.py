"""What the scan takes for a secret and is none, by fingerprint (of exactly that text) and with the reason. Whoever adds to it has looked at the text, and asked whoever wrote it.

A fingerprint that nothing in the tree or the history has any more is taken out again; a test says which.
"""

from __future__ import annotations

MADE_UP = "made up for the tests of redaction: nothing was ever issued under it"
SETTINGS = "a stand-in secret of the tests of settings, which must never be shown"
URL = "a made-up password in a URL that must not be told, in a test"

EXCUSED: dict[str, str] = {
    "0a028189c9030793": SETTINGS,
    "22a6e63f7db877ac": SETTINGS,
    "605ae633e189e2c5": SETTINGS,
    "9a5904388badd75b": SETTINGS,
    "9675b876b7028945": "a stand-in bot token of the tests of the notifier's settings; its words say so",
    "c27cfd508c62a045": MADE_UP,
    "80451b024dad0238": MADE_UP,
    "8a41bbf8bb7c5d1a": MADE_UP,
    "84a21d4b906455a9": "the example key of AWS' own documentation",
    "96ec9558cebcf94f": MADE_UP,
    "793beb71155554fe": MADE_UP,
    "0bc20dfabf83be56": MADE_UP,
    "8ceab00a7f61b213": MADE_UP,
    "83851d84f15d86cf": "a stand-in key for the simulated model: its digits count upwards",
    "a2510862e67f3310": "a seed of one-time codes for the simulated Telegram: the example of every library, twice",
    "a395cee09252be20": "the secret part of the address of a dead man's switch that a test plays itself",
    "65dce97b4aae13f4": "the path of a test, beside an alert's code that ends in a word for a secret",
    "e6b942fb6847f9bc": "the name of a class, as the type of an argument called private_key",
    "7ca2a3dce004e1d6": "a word that stands for a password, in an example of the docs",
    "c0c28f10d7fec145": "what redaction puts in a password's place",
    "09223e92ec2c55fc": URL,
    "2c83e92d63213be0": URL,
    "48421d9b22d2d120": URL,
    "55e3fb7dd41ac341": URL,
    "6b0b567f8c4089c5": URL,
    "6ed30d6a09e05410": URL,
    "7de7dee72b0f1453": URL,
    "94284c8c7886c58b": URL,
    "9b0b1df96986e70f": URL,
    "c7f9e39d13ff59ca": URL,
    "d0c360ea4891eb97": URL,
    "dd4d8e7bbc5c2251": URL,
    "dddbc585cac0f26e": URL,
    "dfe360a4eac12c65": URL,
    "ed58a9bbe49b1406": URL,
}
