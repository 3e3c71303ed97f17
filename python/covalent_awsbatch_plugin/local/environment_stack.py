"""Compute environments that CloudFormation makes: moto's drops some properties, and changes and deletes none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from moto.batch.models import BatchBackend, ComputeEnvironment, batch_backends
from moto.batch.utils import lowercase_first_key
from moto.core.exceptions import AWSError

from .api import api_lock
from .compute_resources import check_resources, check_unused, update_resources, with_groups

_NUMBERS = ("minvCpus", "maxvCpus", "desiredvCpus")


class StackEnvironment(ComputeEnvironment):
    """The resource `AWS::Batch::ComputeEnvironment`. What is made is moto's own class, as by Batch's API."""

    @classmethod
    def create_from_cloudformation_json(
        cls,
        resource_name: str,
        cloudformation_json: dict[str, Any],
        account_id: str,
        region_name: str,
        **_kwargs: Any,
    ) -> ComputeEnvironment:
        """Makes one, with its tags."""
        properties = cloudformation_json["Properties"]
        resources = _resources(properties)
        with api_lock, _refusals():
            check_resources(resources)
            backend = _backend(account_id, region_name)
            made = backend.create_compute_environment(
                resource_name,
                properties["Type"],
                properties.get("State", "ENABLED"),
                with_groups(backend, resources),
                properties["ServiceRole"],
                properties.get("Tags"),
            )
            made.compute_resources = resources
            return made

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: ComputeEnvironment,
        new_resource_name: str,
        cloudformation_json: dict[str, Any],
        account_id: str,  # noqa: ARG003
        region_name: str,  # noqa: ARG003
    ) -> ComputeEnvironment:
        """Changes the numbers of vCPUs. AWS makes a new one for anything else, which is refused here."""
        from moto.cloudformation.exceptions import ValidationError

        resources = _resources(cloudformation_json["Properties"])
        with api_lock, _refusals():
            before = original_resource.compute_resources
            if {**resources, **{name: before.get(name) for name in _NUMBERS if name in before}} != before:
                raise ValidationError(message=f"{new_resource_name} would be replaced, which is not done here")
            update_resources(original_resource, {name: resources[name] for name in _NUMBERS if name in resources})
        return original_resource

    @classmethod
    def delete_from_cloudformation_json(
        cls,
        resource_name: str,
        cloudformation_json: dict[str, Any],  # noqa: ARG003  (moto passes it by its place)
        account_id: str,
        region_name: str,
    ) -> None:
        """Deletes one that no queue has."""
        backend = _backend(account_id, region_name)
        with api_lock, _refusals():
            if environment := backend.get_compute_environment(resource_name):
                check_unused(backend, environment)
                backend.delete_compute_environment(resource_name)


@contextmanager
def patched_stacks() -> Iterator[None]:
    """Has CloudFormation make compute environments so while the `with` block runs.

    The methods are put into moto's class, since its CloudFormation, which knows the class, takes long to import.
    """
    methods = [name for name in vars(StackEnvironment) if name.endswith("_from_cloudformation_json")]
    before = {name: vars(ComputeEnvironment)[name] for name in methods if name in vars(ComputeEnvironment)}
    for name in methods:
        setattr(ComputeEnvironment, name, vars(StackEnvironment)[name])
    try:
        yield
    finally:
        for name in methods:
            delattr(ComputeEnvironment, name)
        for name, method in before.items():
            setattr(ComputeEnvironment, name, method)


def _backend(account: str, region: str) -> BatchBackend:
    return batch_backends[account][region]


def _resources(properties: dict[str, Any]) -> dict[str, Any]:
    return lowercase_first_key(properties["ComputeResources"])


@contextmanager
def _refusals() -> Iterator[None]:
    """Has what Batch refuses fail the stack, in the words of Batch."""
    from moto.cloudformation.exceptions import ValidationError

    try:
        yield
    except AWSError as error:
        raise ValidationError(message=str(error)) from error
