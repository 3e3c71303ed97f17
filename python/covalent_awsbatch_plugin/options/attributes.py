"""The options as they hang on an executor: plain JSON that Covalent carries from the client to the server and back.

An option that nobody gave stays so: it gets its value where the task runs, from the configuration of that machine as it
is then. What an attribute shows of it before is what it would be here and now.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from covalent_awsbatch_plugin.server import questions

from . import checks, configuration, packages
from .limits import written
from .settings import OPTIONS, Settings
from .signature import OptionKeywords

if TYPE_CHECKING:
    from typing_extensions import Self

# What version 0.42.0 and its base class called these attributes.
_FORMER_NAMES = {
    "remote_cache": "s3_bucket_name",
    "credentials_file": "credentials",
    "_credentials_file": "credentials",
    "execution_role": "batch_execution_role_name",
    "log_group_name": "batch_job_log_group_name",
}

# What hangs on an executor while a task runs: open streams and queues, of no use elsewhere.
_RUNTIME_ATTRIBUTES = questions.RUNTIME_ATTRIBUTES | {
    "_task_stdout",
    "_task_stderr",
    "_send_queue",
    "_recv_queue",
    "_loop",
    "_cancel_pool",
    "_not_given",
}


def _former(name: str) -> property:
    """An attribute that reads and writes another one; Covalent's base class assigns some of them."""
    return property(
        lambda self: getattr(self, name),
        lambda self, value: setattr(self, name, "" if value is None else value),
        doc=f"The same as `{name}`, by a former name.",
    )


class _FormattableDict(dict[str, Any]):
    """A dict that takes a width in an f-string, as texts and numbers do.

    People print `vars(executor)` in columns, and 0.42.0 had no attribute that could not be.
    """

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)


def _formattable(values: dict[str, Any]) -> dict[str, Any]:
    return {name: _FormattableDict(value) if isinstance(value, dict) else value for name, value in values.items()}


class Options(OptionKeywords):
    """Makes options attributes; to be named before Covalent's `RemoteExecutor` among a class's bases."""

    if TYPE_CHECKING:

        def short_name(self) -> str:
            """What Covalent calls the executor."""

    # Options by name that nobody gave, with the values that they show; empty for an executor that 1.0.0 pickled.
    _not_given: dict[str, Any] = {}  # noqa: RUF012  (it is replaced and never changed)

    def _set_options(self, given: dict[str, Any], unknown: dict[str, Any]) -> None:
        """Makes attributes of what was given to the constructor.

        Raises:
            SettingsError: As the constructor.
            TypeError: As the constructor.
        """
        checks.check_names(unknown)
        if _is_the_section({**given, **unknown}):
            given = {}
        values = {**configuration.resolved({}), **checks.check_given(given)}
        for name, value in _formattable(values).items():
            setattr(self, name, value)
        self._not_given = _FormattableDict(copy.deepcopy({name: values[name] for name in OPTIONS if name not in given}))

    def __setattr__(self, name: str, value: Any) -> None:
        """Assigns an attribute; an option that is assigned is given."""
        super().__setattr__(name, value)
        if name in self._not_given:
            del self._not_given[name]

    def _given(self) -> dict[str, Any]:
        """The options that were given to the constructor, assigned, or changed in place, with their values now."""
        # A task asks often, and when it has begun every option counts as given.
        not_given = self._not_given
        return {name: getattr(self, name) for name in OPTIONS if name not in not_given or self._is_given(name)}

    def _is_given(self, name: str) -> bool:
        return name not in self._not_given or written(self._not_given[name]) != written(getattr(self, name))

    def _resolve(self) -> Settings:
        """Gives what was not given its value, for the whole of the task that begins; the configuration may change.

        Raises:
            SettingsError: As `_settings`.
        """
        settings = self._settings()
        for name in list(self._not_given):
            value = copy.deepcopy(getattr(settings, name))  # others have the same settings
            setattr(self, name, _FormattableDict(value) if isinstance(value, dict) else value)
        return settings

    def _settings(self) -> Settings:
        """The options for a task that begins now, here: what was given, and this machine's configuration as it is now.

        Raises:
            SettingsError: A value is not allowed, as in the constructor, or one of the configuration is not.
        """
        given = self._given()
        values = given if len(given) == len(OPTIONS) else configuration.resolved(given)
        return checks.checked(values, given)

    def to_dict(self) -> dict[str, Any]:
        """The executor as JSON-serialisable values: `type`, `short_name` and `attributes`.

        Options that were not given are no attributes: whoever reads it fills them in.

        Raises:
            SettingsError: The file that `packages` names cannot be read.
        """
        attributes: dict[str, Any] = {
            name: copy.deepcopy(dict(value) if isinstance(value, _FormattableDict) else value)
            for name, value in self.__dict__.items()
            if name not in _RUNTIME_ATTRIBUTES and (name not in OPTIONS or self._is_given(name))
        }
        if "packages" in attributes:  # what it stands for is looked up where the workflow is made
            attributes["packages"] = packages.captured(attributes["packages"])
        return {"type": str(type(self)), "short_name": self.short_name(), "attributes": attributes}

    def from_dict(self, object_dict: dict[str, Any] | None) -> Self:
        """Take over the attributes of an executor, also of one that another version described.

        Nothing is checked here: the dict may come from a version with other limits, and a task that cannot run says so
        when it begins.

        Args:
            object_dict: What `to_dict` returned. Attributes that are absent stay as they are, former names are
                understood, and unknown attributes are kept for the sake of subclasses. Empty or None changes nothing;
                nor does what another executor returned, which Covalent hands over with a sublattice that names this
                one inside a lattice with that one.

        Returns:
            The executor itself.
        """
        described = object_dict or {}
        if described.get("short_name", self.short_name()) != self.short_name():
            return self
        attributes = copy.deepcopy(described.get("attributes", {}))
        for former, name in _FORMER_NAMES.items():
            if former in attributes:
                value = attributes.pop(former)
                attributes.setdefault(name, "" if value is None else value)
        kept = {name: value for name, value in attributes.items() if name not in _RUNTIME_ATTRIBUTES}
        for name, value in _formattable(kept).items():
            self.__dict__[name] = value
            if name in self._not_given:
                del self._not_given[name]
        return self

    def __repr__(self) -> str:
        """The executor with the options that were given, and no value of an environment variable."""
        from . import representation

        return representation.text(type(self).__name__, self._shown_given())

    def _repr_html_(self) -> str:
        """The same for a notebook: each option's value, and whether it was given, stands in the file, or is default."""
        from . import representation

        return representation.table(type(self).__name__, self._shown_given())

    def _shown_given(self) -> dict[str, Any]:
        # A debugger may look at an executor that is not made yet.
        return {name: vars(self)[name] for name in OPTIONS if name in vars(self) and self._is_given(name)}

    def boto_session_options(self) -> dict[str, str]:
        """Arguments of a `boto3.Session` with this executor's profile and region, for subclasses that use boto3."""
        options = {"profile_name": self.profile, "region_name": self.region}
        return {name: value for name, value in options.items() if value}

    # A base class of Covalent's assigns some of them.
    remote_cache = _former(_FORMER_NAMES["remote_cache"])
    credentials_file = _former(_FORMER_NAMES["credentials_file"])
    execution_role = _former(_FORMER_NAMES["execution_role"])
    log_group_name = _former(_FORMER_NAMES["log_group_name"])


def _is_the_section(given: dict[str, Any]) -> bool:
    """Whether Covalent itself is calling: with every key of the section and nothing but its values."""
    configured = {name: value for name, value in configuration.section().items() if value is not None}
    return bool(configured) and given == configured
