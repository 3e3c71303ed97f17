"""Where packages come from: the configuration of pip and uv on this machine, and the passwords in it."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from urllib.parse import unquote, urlsplit

_SECONDS = 30

# What uv calls an option of pip's.
_VARIABLES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
}
_FORMER = {"UV_DEFAULT_INDEX": "UV_INDEX_URL", "UV_INDEX": "UV_EXTRA_INDEX_URL"}
_SEPARATORS = {"UV_FIND_LINKS": ","}


def variables() -> dict[str, str]:
    """The variables for uv: those of this process, and what pip's configuration says where they say nothing.

    uv does not read that. Where it counts, all its indexes are looked at for the best version, as pip does.
    """
    given = dict(os.environ)
    options = _of_pip()
    for name, variable in _VARIABLES.items():
        if name in options and variable not in given and _FORMER.get(variable) not in given:
            given[variable] = _SEPARATORS.get(variable, " ").join(options[name].split())
    if "extra-index-url" in options:
        given.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")
    return given


def password(url: str, variables: Mapping[str, str]) -> tuple[str, str] | None:
    """User and password for an address, if an index on the same host has them.

    Args:
        url: The address.
        variables: As `variables` returns them.
    """
    host = urlsplit(url).netloc.rpartition("@")[2]
    for index in _indexes(variables):
        parts = urlsplit(index)
        if parts.netloc.rpartition("@")[2] == host and parts.username is not None:
            return unquote(parts.username), unquote(parts.password or "")
    return None


def without_passwords(text: str, variables: Mapping[str, str]) -> str:
    """A text of uv's or an index's without what may be a password.

    Args:
        text: The text.
        variables: As `variables` returns them.
    """
    for index in _indexes(variables):
        for secret in (urlsplit(index).password, urlsplit(index).username):
            if secret:
                text = text.replace(secret, "…").replace(unquote(secret), "…")
    return re.sub(r"(://)[^/\s@]*@|(?<=[?&])[^\s&=]*=[^\s&]*", r"\1…", text)


def _indexes(variables: Mapping[str, str]) -> Iterator[str]:
    for name in (*_VARIABLES.values(), *_FORMER.values()):
        for entry in re.split(r"[\s,]+", variables.get(name, "")):
            yield re.sub(r"^[\w-]+=", "", entry)  # uv takes a name before the address


def _of_pip() -> dict[str, str]:
    """What `pip config` says of the options that count here, its variables included."""
    program = [sys.executable, "-m", "pip", "--disable-pip-version-check", "config", "list"]
    try:
        ended = subprocess.run(program, capture_output=True, text=True, timeout=_SECONDS, check=False)
        found = ended.stdout if ended.returncode == 0 else ""
    except (OSError, subprocess.TimeoutExpired):
        found = ""
    levels: dict[str, dict[str, str]] = {"global": {}, "install": {}, ":env:": {}}
    for line in found.splitlines():
        section, _, (rest) = line.partition(".")
        name, _, value = rest.partition("=")
        if section in levels and name in _VARIABLES:
            levels[section][name] = str(ast.literal_eval(value))
    if not found:  # there may be no pip here, and its variables all the same
        names = {name: f"PIP_{name.upper().replace('-', '_')}" for name in _VARIABLES}
        levels[":env:"] = {name: os.environ[variable] for name, variable in names.items() if variable in os.environ}
    return {**levels["global"], **levels["install"], **levels[":env:"]}
