"""Whether options can work, and what is said of those that cannot."""

from __future__ import annotations

import copy
import functools
import logging
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ValidationError, create_model

from . import configuration, keywords, limits
from .settings import DEFAULTS, OPTIONS, Settings

if TYPE_CHECKING:
    from covalent_awsbatch_plugin.errors import SettingsError

_log = logging.getLogger(__name__)
_CHECKED = 256
# Options whose value may be wrong for more than one reason, which is then told.
_EXPLAINED = {
    *("memory", "platform", "ephemeral_storage", "runtime", "scheduling_priority", "shared_memory", "privileged"),
    *("read_only_root", "stop_timeout", "ipc_mode", "job_definition", "init", "user", "eks_namespace"),
    *("eks_service_account", "nodes"),
}
# Options of several entries, of which the validator names the one that is wrong; no value is shown beside that.
_NAMED = {
    "environment",
    "tags",
    "packages",
    "volumes",
    "secrets",
    "ulimits",
    "tmpfs",
    "devices",
    "consumable_resources",
    "retry_queues",
    "job_definition_overrides",
}
# What was found right, by its text: a thousand tasks have the same options, and ask often.
_checked: dict[str, Settings] = {}
_checked_given: dict[str, dict[str, Any]] = {}
_reported: set[frozenset[str]] = set()  # sets of unknown keys that this process was warned of


def check_given(given: Mapping[str, Any]) -> dict[str, Any]:
    """Check what a caller gives, and leave alone what the configuration says: it may not be the one that will count.

    Args:
        given: Values by name of the option.

    Returns:
        The values as an executor keeps them: numbers as numbers, paths as texts.

    Raises:
        SettingsError: As `checked`, for these options.
    """
    text = _text(given)
    if text not in _checked_given:
        try:
            settings = _partial()(**given)
        except ValidationError as error:
            raise _refusal(error.errors(include_url=False), given, given) from None
        _remember(_checked_given, text, {name: getattr(settings, name) for name in given})
    return copy.deepcopy(_checked_given[text])


@functools.cache
def _partial() -> type[BaseModel]:
    """The model of some of the options: those that are absent are None, and are not held against the others."""
    types = {name: (field.annotation, *field.metadata, None) for name, field in Settings.model_fields.items()}
    fields: dict[str, Any] = {name: (Annotated[annotated], None) for name, annotated in types.items()}
    return create_model("GivenSettings", __config__=Settings.model_config, **fields)


def checked(values: Mapping[str, Any], given: Collection[str] = ()) -> Settings:
    """Check a value for every option.

    Args:
        values: Values by name of the option.
        given: Options whose values surely come from the caller. Of the others the message says that they stand in the
            configuration, if they do.

    Raises:
        SettingsError: One line for each value that cannot work: option, value, and what is allowed.
    """
    try:
        return _settings(values)
    except ValidationError as error:
        problems = error.errors(include_url=False)
    raise _refusal(problems, values, given)


def _settings(values: Mapping[str, Any]) -> Settings:
    text = _text(values)
    if text not in _checked:
        # The caller may change its own dicts and lists later.
        _remember(_checked, text, Settings(**copy.deepcopy(dict(values))))
    return _checked[text]


def _text(values: Mapping[str, Any]) -> str:
    # Unlike an equal dict it tells True from 1.
    try:
        return repr(values)
    except Exception:  # noqa: BLE001  (see `limits.written`)
        return ", ".join(f"{name}={limits.written(value)}" for name, value in values.items())


def _remember(found: dict[str, Any], text: str, settings: Any) -> None:
    if len(found) >= _CHECKED:
        found.clear()
    found[text] = settings


def _refusal(problems: Sequence[Any], values: Mapping[str, Any], given: Collection[str]) -> SettingsError:
    configured = configuration.section()
    lines = []
    for problem in problems:
        name = str(problem["loc"][0])
        inherited = name not in given and name in configured
        # By their texts: what somebody gives may not be comparable.
        inherited = inherited and limits.written(configured[name]) == limits.written(values[name])
        origin = f" (section [{configuration.SECTION}] of {configuration.file()})" if inherited else ""
        lines.append(f"{_subject(name, values[name], problem)}{origin}: {Settings.model_fields[name].description}")
    heading = "" if len(lines) == 1 else f"{len(lines)} options cannot work:\n- "
    from covalent_awsbatch_plugin.errors import SettingsError

    return SettingsError("AWSBatchExecutor: " + heading + "\n- ".join(lines))


def check_names(unknown: Collection[str]) -> None:
    """Tell a typing error from a key that another version left in the configuration.

    Covalent passes the whole section as keywords whenever an executor is given by its name, and the server does so for
    every task. Hence keys of the section that are no options get one warning per process, in one line for all of them.

    Args:
        unknown: Keywords of a call that are no options.

    Raises:
        TypeError: Some of them do not stand in the section either; all of these in one message.
    """
    configured = configuration.section()
    if wrong := [name for name in unknown if name not in configured]:
        raise TypeError(keywords.refusal(wrong, OPTIONS))
    ignored = frozenset(configured.keys() - DEFAULTS.keys())
    if ignored and ignored not in _reported:
        _reported.add(ignored)
        names = ", ".join(sorted(ignored))
        _log.warning("Section [%s] of %s: not used: %s", configuration.SECTION, configuration.file(), names)


def _subject(name: str, value: Any, problem: Mapping[str, Any]) -> str:
    why = problem["msg"].removeprefix("Value error, ")
    if name in _NAMED:  # the validator has named the entry, and shows no value
        return f"{name} is not allowed ({why})"
    if name == "credentials":  # people have put the keys themselves here
        return f"{name} is not allowed ({f'it is a {type(value).__name__}' if not isinstance(value, str) else why})"
    if name == "endpoint_url" and isinstance(value, str):
        value = limits.without_password(value)
    if name in _EXPLAINED and problem["type"] == "value_error":
        return f"{name}={limits.shown(value)} is not allowed ({why})"
    return f"{name}={limits.shown(value)} is not allowed"
