"""Settings are checked as a whole before anything starts; what is wrong is said by variable, value and wish.

Values come from the environment (`BULKHEAD_...`), then from bulkhead.toml (`config_file`), then from the profile (`profiles`), then
from the defaults here. Secrets come from files only (`..._FILE`), so that no environment dump, error text or API can show one.
What is dangerous in itself, or together with another setting, is refused (`setting_rules`).
"""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as UnparsableSetting

from libs.common.subjects import TOKEN
from libs.runtime.bare_secrets import bare_secrets
from libs.runtime.config_file import ConfigFile, read_config
from libs.runtime.config_names import SECRET_WORDS, variables_of
from libs.runtime.config_source import ConfigSource, ProfileSource
from libs.runtime.logs import redact, register_secret
from libs.runtime.private_files import is_exposed, mode_of
from libs.runtime.profiles import ProfileName
from libs.runtime.setting_rules import Verdict, dangers_in, judged, questions_in
from libs.runtime.settings_error import SettingsError as SettingsError
from libs.runtime.visible_settings import own_values, visible

EX_CONFIG = 78
SECRET_BYTES_MAX = 64 * 1024
SHOWN_CHARS_MAX = 80


def _split(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _are_instruments(value: tuple[str, ...]) -> tuple[str, ...]:
    for instrument in value:
        base, _, quote = instrument.partition("-")
        if not (base and quote and TOKEN.fullmatch(instrument)):
            raise ValueError("want instruments like BTC-USDT, separated by commas")
    if len(set(value)) != len(value):
        raise ValueError("an instrument is named twice")
    return value


Listed = BeforeValidator(_split)
"""A tuple that stands in one variable, separated by commas."""
Instruments = Annotated[
    tuple[str, ...], NoDecode, Field(min_length=1, max_length=100), AfterValidator(_are_instruments), Listed
]
"""The instruments of a book; the same variable tells every service that needs them."""


class ConfiguredSettings(BaseSettings):
    """Settings of a process of ours: environment, bulkhead.toml, profile, default, in this order."""

    model_config = SettingsConfigDict(
        env_prefix="BULKHEAD_",
        extra="ignore",
        hide_input_in_errors=True,
        env_ignore_empty=True,
        frozen=True,
        populate_by_name=True,
    )

    profile: ProfileName = Field(
        default="balanced", description="what the numbers of risk are that nobody names: balanced or conservative"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Whom to ask, the most trusted first."""
        return init_settings, env_settings, ConfigSource(settings_cls), ProfileSource(settings_cls)


def _has_a_majority(copies: int) -> int:
    if copies == 2:
        raise ValueError("want 1 or 3: of two servers neither may go on without the other")
    return copies


LogReplicas = Annotated[int, AfterValidator(_has_a_majority)]


class ServiceSettings(ConfiguredSettings):
    """What every service is told: where the state folder, the bus, its own port and the clock are."""

    home: Path = Field(default=Path(".bulkhead"), description="the state folder: keys, snapshots, the log")
    nats_url: str = Field(default="nats://127.0.0.1:4222", pattern=r"^(nats|tls)://[^@]+$", description="the bus")
    log_stream: str = Field(default="TRADING_0001", pattern=r"^TRADING_[0-9]{4}$", description="the log's epoch")
    log_replicas: LogReplicas = Field(
        default=1,
        ge=1,
        le=3,
        description="how many servers of the bus keep each stream, 1 or 3: what `bulkhead deploy open` makes them for",
    )
    instance: str = Field(default="local", pattern=r"^[A-Za-z0-9_.-]{1,64}$", description="names this process")
    egress: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9_-]{0,64}$",
        description="names the IP address that venues see; what leaves by it shares one budget; empty: the host's name",
    )
    http_host: str = Field(default="127.0.0.1", description="where /livez, /readyz and /metrics listen")
    http_port: int = Field(default=0, ge=0, le=65535, description="0 picks a free port")
    clock_url: str = Field(default="", pattern=r"^(|ws://.+)$", description="follow this venue clock; empty: wall time")
    log_level: str = Field(
        default="info",
        pattern=r"^(debug|info|warning|error)$",
        description="debug, info, warning or error: the least severe lines that are written",
    )
    otlp_endpoint: str = Field(
        default="", pattern=r"^(|https?://.+)$", description="send traces here (OTLP over HTTP); empty: none"
    )


S = TypeVar("S", bound=BaseSettings)


def load_settings(kind: type[S], *, strict: bool = True) -> S:
    """The settings of `kind` from the environment, bulkhead.toml, the profile and the defaults.

    Not `strict`: only what is wrong with these very settings is refused. An operator who wants to halt must not be held up by a
    misspelt line about something else; whoever starts something must.

    Raises:
        SettingsError: with one line per bad variable, bad line of the file, bare secret and dangerous value. Values of variables
            whose name says secret, key, token or password are not shown.
    """
    config = read_config(os.environ)
    complaints = [*bare_secrets(os.environ), *config.problems] if strict else []
    settings: S | None = None
    try:
        settings = kind()
    except ValidationError as error:
        # only these flags keep pydantic from quoting values, those of SecretStr fields included
        items = error.errors(include_input=False, include_context=False, include_url=False)
        complaints += [_complaint(kind, item, config) for item in items]
    except UnparsableSetting as error:  # a list or a mapping that is not JSON; raised before anything is validated
        name = next((name for name in kind.model_fields if f'"{name}"' in str(error)), "")
        complaints.append(_complaint(kind, {"loc": (name,), "msg": "this is not JSON"}, config))
    if settings is not None and strict:
        complaints += [danger.text for danger in dangers_in(verdicts_on(settings))]
    if settings is None or complaints:
        raise SettingsError("\n".join(dict.fromkeys(complaints))) from None
    return settings


def verdicts_on(settings: BaseSettings) -> list[Verdict]:
    """What is dangerous or questionable in these settings, and in those of others as far as this process can see them."""
    config = read_config(os.environ)
    return [_placed(each, config) for each in judged(visible(settings, config, os.environ))]


def settings_in_question(settings: BaseSettings) -> list[str]:
    """A line for each of these settings that may be meant as it is, but is worth a second look."""
    own = own_values(settings)
    return [each.text for each in questions_in(verdicts_on(settings)) if any(name in own for name in each.variables)]


def _placed(verdict: Verdict, config: ConfigFile) -> Verdict:
    """With the place in the file of what the file says."""
    places = [config.shown(name) for name in verdict.variables if name in config.entries and not _value_of(name)]
    return verdict.at(places)


def settings_or_exit(kind: type[S]) -> S:
    """`load_settings`, or a clear text on stderr and exit code 78 (EX_CONFIG)."""
    try:
        return load_settings(kind)
    except SettingsError as error:
        print(f"bulkhead refuses to start, bad settings:\n{error}", file=sys.stderr)
        raise SystemExit(EX_CONFIG) from None


def read_secret_file(path: Path | str, name: str, chars_min: int = 16) -> str:
    """The secret in the file that the variable `name` points at, without its trailing newline; from now on it is redacted.

    Raises:
        SettingsError: no such file, not a plain file, readable by others than its owner, empty, too short, not text.
    """
    refused = f"{name}: the secret file {str(path)!r}"
    try:
        # non-blocking, so that a pipe in its place cannot hold us up; checked on what was opened, not on what was looked at
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise SettingsError(
            f"{refused} cannot be opened ({error.strerror}); create it and let only its owner read it"
        ) from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise SettingsError(f"{refused} is not a plain file; point {name} at the file that holds the secret alone")
        if is_exposed(status):
            raise SettingsError(f"{refused} can be read by others (mode {mode_of(status)}); do: chmod 600 {path}")
        raw = os.read(descriptor, SECRET_BYTES_MAX + 1)
    finally:
        os.close(descriptor)
    return _checked_secret(raw, refused, chars_min)


def _checked_secret(raw: bytes, refused: str, chars_min: int) -> str:
    if len(raw) > SECRET_BYTES_MAX:
        raise SettingsError(f"{refused} is larger than {SECRET_BYTES_MAX} bytes; it should hold the secret alone")
    try:
        value = raw.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise SettingsError(f"{refused} is not text (UTF-8)") from None
    if not value.strip():
        raise SettingsError(f"{refused} is empty; put the secret in it")
    if len(value.strip()) < chars_min:
        raise SettingsError(f"{refused} is too short: it needs at least {chars_min} characters")
    register_secret(value)
    return value


def _complaint(kind: type[BaseSettings], item: Any, config: ConfigFile) -> str:
    """One line: which variable (or which line of which file), what it got, what is wrong with that, what it is for."""
    if not item["loc"]:
        return redact(f"{kind.__name__}: {item['msg']}")
    name, *inside = (str(part) for part in item["loc"])
    field = kind.model_fields.get(name)
    prefix = str(kind.model_config.get("env_prefix", ""))
    variable = (f"{prefix}{name}" if field else name).upper()  # a field with an alias is located by its alias
    aliased = (each for each in kind.model_fields if variable in variables_of(kind, each))
    field = field or next((kind.model_fields[each] for each in aliased), None)
    inner = f" (at {'.'.join(inside)})" if inside else ""
    wish = f" [{field.description}]" if field and field.description else ""
    value, where = _value_of(variable), variable
    if not value and variable in config.entries:
        value, where = config.entries[variable].value, f"{config.shown(variable)} ({variable})"
    message = str(item["msg"]).removeprefix("Value error, ").removeprefix(f"{variable}: ")
    if _is_secret(variable, value or ""):
        shown = "nothing" if value is None else "(not shown)"
        message = message.replace(value, "(not shown)") if value else message
    else:
        shown = "nothing" if value is None else repr(redact(value)[:SHOWN_CHARS_MAX])
    return redact(f"{where}: got {shown}{inner}; {message}{wish}")


def _is_secret(variable: str, value: str) -> bool:
    """Whether a value must not be shown. The name of a file may, if it looks like one: secrets are pasted into wrong places."""
    if variable.endswith("_FILE") and value.startswith(("/", "./", "../", "~")):
        return False
    return any(word in variable for word in SECRET_WORDS)


def _value_of(variable: str) -> str | None:
    return next((value for name, value in os.environ.items() if name.upper() == variable), None)
