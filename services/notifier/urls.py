"""Channels by URL, as they stand in a secret file: one URL of Apprise a line, `#` begins a remark.

What Apprise calls a URL is mostly a secret: user, password, token, webhook id. None of it is ever shown; a channel is called by its scheme, and
by a number from the second of a scheme on (`discord`, `discord.2`), in the order of the lines.
"""

from __future__ import annotations

import re
from contextlib import suppress
from urllib.parse import unquote, urlsplit

import msgspec

from libs.runtime.redaction import SECRET_CHARS_MIN, register_secret

URLS_MAX = 10
TAKEN = ("console", "telegram")
"""Names of channels that are none by URL."""
_URL = re.compile(r"([a-z][a-z0-9+.-]{0,30})://\S+", re.IGNORECASE)
_PART = re.compile(r"[/?&=:@,;+]+")
_HOST = re.compile(r"localhost|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
_PLAIN = re.compile(r"[0-9]{1,5}|[a-z]{1,12}")
"""Ports, and words of a path such as `api` or `webhook`: to mask them would hide nothing, and spoil every text that holds them."""


class UrlChannel(msgspec.Struct, frozen=True):
    """A channel's name, and where it leads; the latter is a secret."""

    name: str
    url: str

    def __repr__(self) -> str:
        return f"UrlChannel({self.name!r})"


def url_channels(text: str) -> tuple[UrlChannel, ...] | str:
    """The channels in a file's `text`, whose secrets are masked in every text from now on; or what is wrong, without the secrets."""
    found: list[UrlChannel] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        url = line.strip()
        if not url or url.startswith("#"):
            continue
        match = _URL.fullmatch(url)
        if match is None:
            return f"line {number} is no URL; Apprise wants scheme://..., one a line"
        _hide(url)
        scheme = match[1].lower()
        seen[scheme] = seen.get(scheme, 1 if scheme in TAKEN else 0) + 1
        found.append(UrlChannel(scheme if seen[scheme] == 1 else f"{scheme}.{seen[scheme]}", url))
    if not found:
        return "it holds no URL"
    if len(found) > URLS_MAX:
        return f"it holds {len(found)} URLs; at most {URLS_MAX} are told"
    return tuple(found)


def _hide(url: str) -> None:
    """The whole, and each part that may be a secret: Apprise's messages and those of its libraries may show one without the others."""
    rest = url.partition("://")[2]
    with suppress(ValueError):  # a port that is none: the parts are hidden all the same
        rest = urlsplit(url).geturl().partition("://")[2]
    for part in (url, rest, *_PART.split(rest)):
        for form in {part, unquote(part)}:
            if len(form.strip()) >= SECRET_CHARS_MIN and not (_HOST.fullmatch(form) or _PLAIN.fullmatch(form)):
                register_secret(form)
