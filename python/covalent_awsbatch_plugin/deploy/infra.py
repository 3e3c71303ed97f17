"""What `deploy` hands to Terraform: the variables of `assets/infra`, with their defaults and limits.

Covalent's own command looks this class up beside the executor. It writes what a user passes as strings, hence lists are
strings with commas; and as soon as one option is passed it writes no default at all, hence the defaults stand a second
time in `variables.tf`, which a test compares, and in `options.tf`, which `scripts/options.py` writes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    create_model,
    model_validator,
)

from covalent_awsbatch_plugin.options import fargate, pairs, placement, settings
from covalent_awsbatch_plugin.options.definition import definition

from . import former_names

CAPACITY = ("EC2", "SPOT", "FARGATE", "FARGATE_SPOT")
"""What a compute environment may consist of."""

_LOG_DAYS = (0, 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)

# GiB. A machine's has to hold Amazon's ECS image.
_EBS_DISK = (30, 16384)
_FARGATE_DISK = (fargate.DISK[0], fargate.DISK[-1])

# What Terraform creates under a name of the user's; the executor takes an ARN or a path there, too.
_NAMES = ("s3_bucket_name", "batch_queue", "batch_execution_role_name", "batch_job_role_name")

# AWS allows 50 on a thing; `covalent-awsbatch` and `Name` are ours.
_TAGS = 48

# Seconds: what AWS takes for `jobStateTimeLimitActions`.
_RUNNABLE_LIMITS = (600, 86400)

# Minutes: https://docs.aws.amazon.com/batch/latest/APIReference/API_ComputeScalingPolicy.html
_SCALE_DOWN_DELAYS = (20, 10080)

# By kind of machine: the strategies that go through the instance types in their order.
_ORDERED = {"EC2": "BEST_FIT_PROGRESSIVE_ORDERED", "SPOT": "SPOT_CAPACITY_OPTIMIZED_PRIORITIZED"}

# Batch's own choices among families.
_CHOSEN_BY_BATCH = {"optimal", "default_x86_64", "default_arm64"}

_CONSUMABLE = r"[A-Za-z0-9_-]{1,128}\s*[:=]\s*[0-9]+"

_Model = TypeVar("_Model", bound=BaseModel)
_Pairs = Annotated[str, BeforeValidator(pairs.text)]


def _matching(pattern: str, rule: str) -> AfterValidator:
    compiled = re.compile(pattern, re.ASCII)

    def checked(value: str) -> str:
        if not compiled.fullmatch(value):
            raise ValueError(rule)
        return value

    return AfterValidator(checked)


def _list(pattern: str, rule: str) -> AfterValidator:
    return _matching(rf"{pattern}(\s*,\s*{pattern})*", rule)


def _capacity(value: str) -> str:
    kinds = [kind.strip() for kind in value.split(",")]
    if not set(kinds) <= set(CAPACITY) or len(set(kinds)) != len(kinds):
        raise ValueError(
            "must be EC2, SPOT, FARGATE or FARGATE_SPOT, or two of one kind in the order in which the queue shall use "
            "them: SPOT,EC2 or FARGATE_SPOT,FARGATE"
        )
    if len({kind.startswith("FARGATE") for kind in kinds}) > 1:
        raise ValueError(
            "mixes Fargate with machines, and AWS Batch allows a queue one of them only: make two deployments with a "
            "prefix each"
        )
    return value


def _disk(value: int) -> int:
    if value and not _FARGATE_DISK[0] <= value <= _EBS_DISK[1]:
        raise ValueError(f"must be 0, or {_FARGATE_DISK[0]} to {_EBS_DISK[1]}")
    return value


def _log_days(value: int) -> int:
    if value not in _LOG_DAYS:
        raise ValueError(f"CloudWatch keeps logs for {', '.join(map(str, _LOG_DAYS[1:]))} days, or 0 for ever")
    return value


def _runnable_limit(value: int) -> int:
    if value and not _RUNNABLE_LIMITS[0] <= value <= _RUNNABLE_LIMITS[1]:
        raise ValueError(f"must be 0, or {_RUNNABLE_LIMITS[0]} to {_RUNNABLE_LIMITS[1]}")
    return value


def _scale_down_delay(value: int) -> int:
    if value and not _SCALE_DOWN_DELAYS[0] <= value <= _SCALE_DOWN_DELAYS[1]:
        raise ValueError(f"must be 0, or {_SCALE_DOWN_DELAYS[0]} to {_SCALE_DOWN_DELAYS[1]}")
    return value


def _multi_node(value: bool, info: ValidationInfo) -> bool:
    if value and (capacity := info.data.get("capacity", "EC2")) != "EC2":
        raise ValueError(
            f"is for EC2 alone, and capacity is {capacity}: AWS Batch runs such jobs on on-demand machines"
        )
    return value


def _with_options(model: type[_Model]) -> type[_Model]:
    """Adds what every deployment has, too: the executor's options, and fields by the names of 0.42.0.

    The latter only because Covalent's command looks for names among the fields: the value is moved before it is looked
    at.
    """
    fields: dict[str, Any] = {}
    for name, field in settings.Settings.model_fields.items():
        known = definition(field)
        kind = _kind(field.annotation)
        default = "" if kind is _Pairs else field.default
        text = known.plain
        if known.deploy:
            text = known.deploy.doc
            default = default if known.deploy.default is None else known.deploy.default
        fields[name] = (kind, Field(default=default, description=text, repr=field.repr))
    for former, name in former_names.FORMER.items():
        kind = (fields.get(name) or (str,))[0]
        fields[former] = (kind | None, Field(default=None, description=f"What {name} was called in 0.42.0."))
    made = create_model(model.__name__, __base__=model, __module__=model.__module__, **fields)
    made.__doc__ = model.__doc__
    return made


def _kind(annotation: Any) -> Any:
    """The type of an option as a variable; its limits are those of `Settings`."""
    if annotation in (bool, int, float):
        return annotation
    if annotation == int | float:
        return float
    return _Pairs if get_origin(annotation) is dict else str


@_with_options
class ExecutorInfraDefaults(BaseModel):
    """The variables of `assets/infra`.

    Raises:
        pydantic.ValidationError: A value that Terraform or AWS would refuse later.
    """

    model_config = ConfigDict(hide_input_in_errors=True, extra="forbid")

    prefix: Annotated[
        str,
        _matching(
            "(?!sg-)(?!.*--)[a-z][a-z0-9-]{0,30}[a-z0-9]",
            "must be 2 to 32 lower-case letters, digits and single hyphens, and not begin with sg-",
        ),
    ] = Field(default="covalent-batch", description="Begins the name of everything that is created.")
    vpc_id: Annotated[str, _matching("|vpc-[0-9a-f]+", "must be the id of a VPC, such as vpc-0123abcd")] = Field(
        default="", description="VPC of yours to use; empty for one of its own."
    )
    subnet_ids: Annotated[
        str, _matching(r"|subnet-[0-9a-f]+(\s*,\s*subnet-[0-9a-f]+)*", "must be ids of subnets, with commas between")
    ] = Field(default="", description="Subnets in that VPC, with commas between.")
    instance_types: Annotated[str, _list("[a-z0-9.-]+", "must be instance types or families, with commas between")] = (
        Field(default="optimal", description="Instance types or families, with commas between.")
    )
    min_vcpus: int = Field(default=0, ge=0, description="vCPUs that always run, and always cost; 0 for none when idle.")
    max_vcpus: int = Field(
        default=256, ge=1, description="vCPUs that run at once at the most, in each compute environment."
    )
    capacity: Annotated[str, AfterValidator(_capacity)] = Field(
        default="EC2",
        description="EC2, SPOT, FARGATE or FARGATE_SPOT; or two of one kind, in the order in which the queue uses "
        "them: SPOT,EC2.",
    )
    allocation_strategy: Literal[
        "",
        "BEST_FIT_PROGRESSIVE",
        "BEST_FIT_PROGRESSIVE_ORDERED",
        "SPOT_CAPACITY_OPTIMIZED",
        "SPOT_CAPACITY_OPTIMIZED_PRIORITIZED",
        "SPOT_PRICE_CAPACITY_OPTIMIZED",
    ] = Field(default="", description="How Batch picks machines; empty for what suits the capacity.")
    disk_gb: Annotated[int, AfterValidator(_disk)] = Field(
        default=0,
        description="GB of a machine's disk, 30 or more, which images and all its jobs share; 0 for 100. On Fargate of "
        "each job's, 21 to 200; 0 for its own 20.",
    )
    log_retention_days: Annotated[int, AfterValidator(_log_days)] = Field(
        default=30, description="Days that the jobs' logs are kept; 0 for ever."
    )
    object_retention_days: int = Field(
        default=7, ge=1, description="Days that functions and results stay in the bucket; more than any workflow runs."
    )
    create_ecr: bool = Field(default=False, description="Create an ECR repository for images of your own.")
    fair_share: bool = Field(
        default=False,
        description="Create the queue with a fair-share scheduling policy, in which each job takes a share: "
        "share_identifier, else the prefix without hyphens.",
    )

    consumable: Annotated[
        str,
        _matching(
            rf"|\s*{_CONSUMABLE}\s*(,\s*{_CONSUMABLE}\s*)*",
            "must be name=number with commas between, such as licence=5",
        ),
    ] = Field(
        default="",
        description="Consumable resources to create, such as licence=5: how many of each there are, with commas "
        "between.",
    )

    placement_group: bool = Field(
        default=False,
        description="Keep the machines close to each other in the network, in a cluster placement group; not with "
        "Fargate.",
    )
    multi_node: Annotated[bool, AfterValidator(_multi_node)] = Field(
        default=False,
        description="Create what jobs of several nodes need: machines that may talk to each other, in a cluster "
        "placement group, and in a network of its own a subnet with a NAT gateway, which always costs. For EC2 alone.",
    )
    runnable_limit: Annotated[int, AfterValidator(_runnable_limit)] = Field(
        default=0,
        description="Seconds after which AWS cancels the first job in the queue if it finds no machine, 600 to 86400; "
        "0 for never.",
    )
    scale_down_delay: Annotated[int, AfterValidator(_scale_down_delay)] = Field(
        default=0,
        description="Minutes for which a machine waits for its next job, at its usual price, 20 to 10080; 0 for "
        "Batch's own, shorter.",
    )

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """The executor's options."""

    @property
    def fargate(self) -> bool:
        """Whether the jobs run on Fargate instead of machines."""
        return _is_fargate(self.capacity)

    @model_validator(mode="before")
    @classmethod
    def _executor_options(cls, values: Any) -> Any:
        values = former_names.replaced(values)
        # Nothing is allowed here that the executor would refuse afterwards; an empty name is still to be made.
        options = {name: values[name] for name in settings.OPTIONS if values.get(name) not in (None, "")}
        options["platform"] = "FARGATE" if _is_fargate(str(values.get("capacity", ""))) else "EC2"
        for name, field in settings.Settings.model_fields.items():
            if get_origin(field.annotation) is dict:
                options[name] = _pairs(name, options.get(name, ""))
        try:
            settings.Settings(**options)
        except ValidationError as error:
            rules = []
            for problem in error.errors(include_url=False):
                name, cause = str(problem["loc"][0]), problem["msg"].removeprefix("Value error, ")
                rules.append(f"{name} {settings.Settings.model_fields[name].description} ({cause})")
            raise ValueError("; ".join(rules)) from error
        return values

    @model_validator(mode="after")
    def _fits_together(self) -> ExecutorInfraDefaults:
        if bool(self.vpc_id) != bool(self.subnet_ids):
            raise ValueError("vpc_id and subnet_ids belong together: give both, or neither for a network of its own")
        if self.min_vcpus > self.max_vcpus:
            raise ValueError(f"min_vcpus ({self.min_vcpus}) is more than max_vcpus ({self.max_vcpus})")
        self._fits_a_strategy()
        self._fits_an_adapter()
        if self.platform not in ("", "FARGATE" if self.fargate else "EC2"):
            raise ValueError(f"platform contradicts capacity ({self.capacity}), which says it already: leave it out")
        if self.share_identifier and not self.fair_share:
            raise ValueError(
                "share_identifier is for a queue with a scheduling policy: add fair_share, or leave it out"
            )
        given = [name for name in _NAMES if re.search("^arn:|/", getattr(self, name))]
        if given:
            raise ValueError(f"{', '.join(given)} must be a name: what it names is created, not looked for")
        if len(pairs.mapping(self.tags)) > _TAGS:
            raise ValueError(f"tags must be {_TAGS} at the most: two of AWS's 50 are used here")
        if self.fargate:
            self._fits_fargate()
        elif self.disk_gb and self.disk_gb < _EBS_DISK[0]:
            raise ValueError(f"disk_gb must be {_EBS_DISK[0]} or more: Amazon's ECS image does not fit into less")
        self._holds_the_job()
        return self

    def _fits_a_strategy(self) -> None:
        if self.capacity == "EC2" and self.allocation_strategy.startswith("SPOT"):
            raise ValueError(f"allocation_strategy {self.allocation_strategy} is for SPOT, and capacity is EC2")
        if self.capacity == "SPOT" and self.allocation_strategy == _ORDERED["EC2"]:
            raise ValueError(f"allocation_strategy {self.allocation_strategy} is for EC2, and capacity is SPOT")
        if self.allocation_strategy in _ORDERED.values() and _CHOSEN_BY_BATCH & self._types():
            raise ValueError("allocation_strategy goes through instance_types in their order: name them")

    def _fits_an_adapter(self) -> None:
        if not self.efa:
            return
        if not self.multi_node:
            raise ValueError(
                "efa makes machines with an adapter for jobs of several nodes: add multi_node, or leave efa out"
            )
        if not all("." in name for name in self._types()):
            raise ValueError(
                "efa needs instance_types with their sizes, such as c5n.18xlarge: of a family not all have an adapter"
            )

    def _types(self) -> set[str]:
        return {name.strip() for name in self.instance_types.split(",")}

    def _holds_the_job(self) -> None:
        platform: Literal["EC2", "FARGATE"] = "FARGATE" if self.fargate else "EC2"
        job = settings.Settings(platform=platform, vcpu=self.vcpu, memory=self.memory, num_gpus=self.num_gpus)
        types = [] if self.fargate else [name.strip() for name in self.instance_types.split(",")]
        environment = {"kind": platform, "max_vcpus": self.max_vcpus, "instance_types": types}
        if misfits := placement.problems(job, environment):
            raise ValueError(f"no job of this size would ever start: {'; '.join(misfits)}")

    def _fits_fargate(self) -> None:
        if self.min_vcpus or self.instance_types != "optimal" or self.allocation_strategy or self.scale_down_delay:
            raise ValueError(
                "min_vcpus, instance_types, allocation_strategy and scale_down_delay are about machines, and Fargate "
                "has none: leave them out"
            )
        if self.placement_group:
            raise ValueError("placement_group is about machines, and Fargate has none: leave it out")
        if self.disk_gb > _FARGATE_DISK[1]:
            raise ValueError(f"disk_gb must be {_FARGATE_DISK[1]} or less with Fargate")


def _pairs(name: str, value: Any) -> dict[str, Any]:
    try:
        return pairs.mapping(value)
    except ValueError as error:
        raise ValueError(f"{name} {error}") from error


def _is_fargate(capacity: str) -> bool:
    return capacity.strip().startswith("FARGATE")
