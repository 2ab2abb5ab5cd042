"""The notifier's settings: which channels there are, what they are called, and what is refused before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from libs.common.timeframe import SECOND
from libs.runtime.redaction import forget_secrets, redact
from libs.runtime.settings import SettingsError, load_settings
from services.notifier.manner import Manner
from services.notifier.settings import Settings

TOKEN = "7012345678:AAF-a-token-that-nobody-may-ever-see"


def secret(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(f"{text}\n")
    path.chmod(mode)
    return path


@pytest.fixture
def telegram(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = secret(tmp_path / "token", TOKEN)
    monkeypatch.setenv("BULKHEAD_NOTIFY_CHANNEL", "telegram")
    monkeypatch.setenv("BULKHEAD_TELEGRAM_TOKEN_FILE", str(token))
    monkeypatch.setenv("BULKHEAD_TELEGRAM_CHATS", "1001, -1002000000000")


def test_a_longest_pause_below_the_first_is_the_first() -> None:
    """Two settings that contradict each other do not keep the notifier from starting."""
    limits = Manner(breaker_pause_s=60, breaker_pause_s_max=10).limits
    assert limits.open_ns_max == limits.open_ns_first == 60 * SECOND


def test_the_settings_are_the_manner(monkeypatch: pytest.MonkeyPatch) -> None:
    """Defaults are the documented ones; each can be set by its variable."""
    assert load_settings(Settings).machine() == Manner()
    names = ("repeat_window_s", "send_ttl_s", "attempts_max", "backoff_s", "backoff_s_max")
    names += ("breaker_failures_max", "breaker_pause_s", "breaker_pause_s_max", "waiting_kinds_max")
    for place, name in enumerate(names, 11):
        monkeypatch.setenv(f"BULKHEAD_NOTIFY_{name.upper()}", str(place))
    assert load_settings(Settings).machine() == Manner(
        channels=("console",),
        repeat_window_s=11,
        send_ttl_s=12,
        attempts_max=13,
        backoff_s=14,
        backoff_s_max=15,
        breaker_failures_max=16,
        breaker_pause_s=17,
        breaker_pause_s_max=18,
        waiting_kinds_max=19,
    )


def test_an_unknown_channel_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pigeon is no channel: the variable, the value and the wish are named."""
    monkeypatch.setenv("BULKHEAD_NOTIFY_CHANNEL", "pigeon")
    with pytest.raises(SettingsError, match="BULKHEAD_NOTIFY_CHANNEL: got 'pigeon'; Input should be 'console'"):
        load_settings(Settings)


@pytest.mark.usefixtures("telegram")
def test_every_chat_is_a_channel() -> None:
    """A chat that has blocked the bot holds back no other; the token is no setting of the machine."""
    settings = load_settings(Settings)
    assert settings.machine().channels == ("telegram.1001", "telegram.-1002000000000")
    assert settings.telegram_token() == TOKEN
    assert TOKEN not in repr(settings)


@pytest.mark.usefixtures("telegram")
@pytest.mark.parametrize(
    ("variable", "value", "complaint"),
    [
        ("BULKHEAD_TELEGRAM_CHATS", "", "names no chat to tell"),
        ("BULKHEAD_TELEGRAM_CHATS", ",", "ids of chats"),
        ("BULKHEAD_TELEGRAM_CHATS", "@ada", "valid integer"),
        ("BULKHEAD_TELEGRAM_CHATS", "1001,1001", "named twice"),
        ("BULKHEAD_TELEGRAM_TOKEN_FILE", "", "names no file with a token"),
        ("BULKHEAD_TELEGRAM_TOKEN_FILE", "/no/such/file", "cannot be opened"),
        ("BULKHEAD_TELEGRAM_URL", "http://example.com", "plain http"),
        ("BULKHEAD_TELEGRAM_URL", "ftp://example.com", "should match pattern"),
    ],
)
def test_telegram_half_configured_is_refused(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, complaint: str
) -> None:
    """Nobody finds out at three in the morning that a chat was missing."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=complaint) as refused:
        load_settings(Settings)
    assert TOKEN not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "mode", "complaint"),
    [(TOKEN, 0o644, "can be read by others"), ("hunter2-hunter2-hunter2", 0o600, "no token as @BotFather gives them")],
)
def test_a_token_file_that_is_not_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, mode: int, complaint: str
) -> None:
    """Not readable by others, and with a token in it; what is in it is not repeated."""
    monkeypatch.setenv("BULKHEAD_TELEGRAM_TOKEN_FILE", str(secret(tmp_path / "token", text, mode)))
    with pytest.raises(SettingsError, match=complaint) as refused:
        load_settings(Settings)
    assert text not in str(refused.value)


def test_channels_by_url_are_called_by_their_schemes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that say nothing of what is secret in the URLs, and that stay when a line is added at the end."""
    lines = "# people\nmailto://ada:hunter2secret@example.com\n\ndiscord://123456789012345678/s3cretWebhookToken\n"
    lines += "mailto://bob:anotherSecret9@example.com\nconsole://ABCDEFGHIJ"
    urls = secret(tmp_path / "urls", lines)
    monkeypatch.setenv("BULKHEAD_NOTIFY_URLS_FILE", str(urls))
    monkeypatch.setenv("BULKHEAD_NOTIFY_URLS_LEVEL", "ticket")
    manner = load_settings(Settings).machine()
    assert manner.channels == ("console", "mailto", "discord", "mailto.2", "console.2")
    assert manner.floors == dict.fromkeys(manner.channels[1:], "ticket")
    assert "hunter2secret" not in repr(load_settings(Settings).url_channels())


def test_every_part_of_a_url_is_masked_but_plain_words_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Apprise and its libraries may show a password, a token or a path alone."""
    forget_secrets()
    url = "jsons://ada:hunter2%21secret@example.com:8443/webhook/T0P-s3cret?auth=Zx9Yw8Vu7"
    monkeypatch.setenv("BULKHEAD_NOTIFY_URLS_FILE", str(secret(tmp_path / "urls", url)))
    load_settings(Settings)
    for part in (url, "hunter2!secret", "hunter2%21secret", "T0P-s3cret", "Zx9Yw8Vu7"):
        assert part not in redact(f"POST to {part} failed")
    assert redact("the webhook at example.com:8443 is down") == "the webhook at example.com:8443 is down"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("mailto ada@example.com", "line 1 is no URL"),
        ("# nobody so far, to be filled in", "holds no URL"),
        ("\n".join(f"json://127.0.0.1:{port}/" for port in range(1000, 1011)), "at most 10"),
    ],
)
def test_a_file_without_urls_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, complaint: str
) -> None:
    """By line, without its text: what was pasted there may be a secret."""
    monkeypatch.setenv("BULKHEAD_NOTIFY_URLS_FILE", str(secret(tmp_path / "urls", text)))
    with pytest.raises(SettingsError, match=complaint) as refused:
        load_settings(Settings)
    assert "ada@example.com" not in str(refused.value)
