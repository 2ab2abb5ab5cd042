"""What may run by itself, read line by line by one of us before it was entered here. A new version that changes one of these is refused until somebody has read it.

`bulkhead doctor` and `python3 -S -E -m services.cli.startup --list .venv` show what is there. To enter something: read it, and what it imports; then say here whose it is and
why it is harmless. What nobody can explain is not entered: the environment is deleted.
"""

from typing import NamedTuple


class Reviewed(NamedTuple):
    """A hook that was read: its kind and name, the distribution that brings it (empty: the system), the SHA-256 of its text, and what it does."""

    kind: str
    name: str
    owner: str
    digest: str
    why: str


HOOKS = (
    Reviewed(
        "pth",
        "__editable__.bulkhead-<version>.pth",
        "bulkhead",
        "cff78e23b1888c19134821912d213705c707c85591b2fb0707e505b788302e1d",
        "our own sources, installed in place: adds the finder below to the ways of importing",
    ),
    Reviewed(
        "behind",
        "__editable___bulkhead_<version>_finder.py",
        "bulkhead",
        "ed13c023b3ab114e0edc5f9a1f0214072a2bd42789281ace99cad2de33d6425c",
        "setuptools' finder for packages installed in place; its paths must lead into this project",
    ),
    Reviewed(
        "pth",
        "a1_coverage.pth",
        "coverage",
        "ef2ed06d19867ec669c09a804060666a9cd5e383af0a9d11aa2de79b77d448e8",
        "starts coverage in a child process, where COVERAGE_PROCESS_START or COVERAGE_PROCESS_CONFIG say so",
    ),
    Reviewed(
        "pth",
        "distutils-precedence.pth",
        "setuptools",
        "2638ce9e2500e572a5e0de7faed6661eb569d1b696fcba07b0dd223da5f5d224",
        "makes `import distutils` find setuptools' copy; imports the module below",
    ),
    Reviewed(
        "behind",
        "_distutils_hack/__init__.py",
        "setuptools",
        "ced72e54431ecf2d8d7dbd8a1e27724f1b171af3ca1503c304bf11c59a7fe861",
        "the finder of setuptools' distutils; opens no file and no connection",
    ),
    Reviewed(
        "module",
        "sitecustomize.py",
        "",
        "43d81125d92376b1a69d53a71126a041cc9a18d8080e92dea0a2ae23be138b1e",
        "Debian and Ubuntu: installs apport's exception hook, if apport is there",
    ),
)

PLUGINS = {
    # by every pytest; -p no:... in pyproject.toml keeps two of them from being loaded
    "pytest11": {
        "anyio",
        "hypothesis",
        "platformdirs",
        "pytest-asyncio",
        "pytest-cov",
        "pytest-rerunfailures",
        "pytest-timeout",
        "pytest-xdist",
        "schemathesis",
    },
    # by every process that opens a span, that is: by every service
    "opentelemetry_context": {"opentelemetry-api"},
    "opentelemetry_propagator": {"opentelemetry-api"},
    "opentelemetry_tracer_provider": {"opentelemetry-api", "opentelemetry-sdk"},
    "opentelemetry_meter_provider": {"opentelemetry-api", "opentelemetry-sdk"},
    "opentelemetry_logger_provider": {"opentelemetry-sdk"},
    "opentelemetry_id_generator": {"opentelemetry-sdk"},
    "opentelemetry_resource_detector": {"opentelemetry-sdk"},
    "opentelemetry_traces_sampler": {"opentelemetry-sdk"},
    "opentelemetry_environment_variables": {"opentelemetry-api", "opentelemetry-sdk"},
    "opentelemetry_traces_exporter": {"opentelemetry-exporter-otlp-proto-http", "opentelemetry-sdk"},
    "opentelemetry_metrics_exporter": {"opentelemetry-exporter-otlp-proto-http", "opentelemetry-sdk"},
    "opentelemetry_logs_exporter": {"opentelemetry-exporter-otlp-proto-http", "opentelemetry-sdk"},
    "opentelemetry_http_transport": {"opentelemetry-exporter-http-transport"},
    # by a build: `make install`, where nkeys and our own package are built
    "distutils.commands": {"setuptools"},
    "distutils.setup_keywords": {"cffi", "setuptools"},
    "egg_info.writers": {"setuptools"},
    "setuptools.finalize_distribution_options": {"setuptools"},
    # by who asks for one by its name: a lexer, an extension, a backend, a file system, a template engine, a check of bandit's
    "array_api": {"numpy"},
    "bandit.blacklists": {"bandit"},
    "bandit.formatters": {"bandit"},
    "bandit.plugins": {"bandit"},
    "babel.extractors": {"jinja2", "mako"},
    "fsspec.specs": {"huggingface-hub"},
    "lingua.extractors": {"mako"},
    "markdown.extensions": {"markdown"},
    "pandas_plotting_backends": {"pandas"},
    "pkg_config": {"numpy"},
    "pygments.lexers": {"mako"},
    "pyinstaller40": {"numpy", "playwright"},
    "python.templating.engines": {"mako"},
    "stevedore.example.formatter": {"stevedore"},
    "stevedore.test.extension": {"stevedore"},
}
"""Who may enter itself where: the group of entry points, and the distributions. What an entry leads to must be the distribution's own."""

APART = {"locust": {"pytest11"}, "gevent": {"gevent.plugins.monkey.will_patch_all"}}
"""Who may enter itself where in an environment of its own alone (`--with=locust`), and is refused beside us."""
