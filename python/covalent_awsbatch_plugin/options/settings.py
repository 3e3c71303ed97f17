"""The executor's options: each is defined once, here or in one of the classes that `Settings` is made of.

A definition becomes a keyword of the constructor with its documentation (`signature.py`), a row of `docs/options.md`,
an option of `doctor` and `policy`, and a variable of `deploy`. `scripts/options.py` writes what of it stands in files.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from . import fargate
from .node_options import NodeOptions

FORMER_IMAGE = "public.ecr.aws/covalent/covalent-executor-base:stable"
"""The default up to version 1.0, which older versions also wrote into the configuration.

It has Python 3.8 and an older Covalent, so that no supported server can use it. It counts as no image.
"""


class Settings(NodeOptions, BaseModel):
    """The options of one executor, checked: types, units, defaults and limits.

    A new option comes last, since the first sixteen are positional. Numbers may be written as strings, as configuration
    files have them; a bool is never a number.

    Raises:
        pydantic.ValidationError: A value is not allowed. `checks.checked` makes one readable message of it.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True, defer_build=True)  # for the first executor

    @property
    def source(self) -> Literal["image", "bucket", "ecr"]:
        """Where a job has Covalent and this package from: `runtime`, with `auto` resolved."""
        if self.runtime == "auto":
            return "image" if self.given_image or self.job_definition else "ecr" if self.ecr_repo_name else "bucket"
        return self.runtime

    @property
    def image(self) -> str:
        """The container's image, or that which one is made on: the one that was given, else Python's own.

        Empty where the job definition is the user's, which has it.
        """
        if self.job_definition:
            return ""
        if self.source == "image":
            return self.container_image_uri
        return self.given_image or "public.ecr.aws/docker/library/python:{}.{}-slim".format(*sys.version_info)

    @property
    def given_image(self) -> str:
        """The image that was given, unless it is the former default; empty if none was."""
        return "" if self.container_image_uri == FORMER_IMAGE else self.container_image_uri

    @property
    def has_access_point(self) -> bool:
        """Whether the bucket is reached through an access point: by its ARN, or by its alias."""
        return self.s3_bucket_name.startswith("arn:") or self.s3_bucket_name.endswith("-s3alias")

    @property
    def queues(self) -> tuple[str, ...]:
        """The job queue, and those that a task's further jobs go to, in their order."""
        return self.batch_queue, *self.retry_queues

    @property
    def memory_mib(self) -> int:
        """What a job asks Batch for: on Fargate the next size that it has for these vCPUs."""
        return fargate.memory(self.vcpu, self.memory) if self.platform == "FARGATE" else int(self.memory * 1024)

    def connection(self, interactive: bool = False) -> str:
        """What `_core.Client` needs, as JSON; a `~` in the path of the credentials stands for this machine's home.

        Args:
            interactive: Whether it is for a command that a person waits for.
        """
        return json.dumps(
            {
                "profile": self.profile,
                "region": self.region,
                "credentials": os.path.expanduser(self.credentials),  # noqa: PTH111  (empty stays empty)
                "endpoint_url": self.endpoint_url,
                "interactive": interactive,
            }
        )


OPTIONS = tuple(Settings.model_fields)
"""The names of the options, in the order of the constructor."""

DEFAULTS: Mapping[str, Any] = {name: field.get_default() for name, field in Settings.model_fields.items()}
"""The default of every option."""
