"""What jobs cost by a table of prices, which anybody can replace."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from covalent_awsbatch_plugin.errors import SettingsError
from covalent_awsbatch_plugin.printable import printable

from .work import Submitted, Work

OWN = Path(__file__).with_name("prices.json")
"""The table that counts where no other one is given."""

_HOUR = 3600.0
_FARGATES_SHORTEST = 60.0
"""Seconds: Fargate charges from the pull of the image on, and a minute at least.
<https://aws.amazon.com/fargate/pricing/>
"""

_Price = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Prices(BaseModel):
    """Prices of one kind of machine, by the hour.

    Attributes:
        vcpu_hour: Of a vCPU.
        gb_hour: Of a GB of memory.
        gpu_hour: Of a GPU.
    """

    model_config = ConfigDict(extra="forbid")
    vcpu_hour: _Price
    gb_hour: _Price
    gpu_hour: _Price = 0.0


class PriceTable(BaseModel):
    """A table of prices.

    Attributes:
        about: Where they are from and what they leave out.
        currency: Such as `USD`.
        EC2: Prices of EC2.
        FARGATE: Prices of Fargate.
    """

    model_config = ConfigDict(extra="forbid")
    about: str = ""
    currency: str = "USD"
    EC2: Prices
    FARGATE: Prices


@dataclass(frozen=True)
class Cost:
    """What attempts of jobs took.

    Attributes:
        vcpu_hours: vCPUs by hours.
        gb_hours: GB of memory by hours.
        gpu_hours: GPUs by hours.
        amount: What that costs.
    """

    vcpu_hours: float = 0.0
    gb_hours: float = 0.0
    gpu_hours: float = 0.0
    amount: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        """The cost of both."""
        return Cost(
            self.vcpu_hours + other.vcpu_hours,
            self.gb_hours + other.gb_hours,
            self.gpu_hours + other.gpu_hours,
            self.amount + other.amount,
        )


def table(path: Path) -> PriceTable:
    """Read a table.

    Args:
        path: A JSON file.

    Raises:
        SettingsError: It cannot be read, or is none; the message says what is wrong with it.
    """
    try:
        return PriceTable.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, one['loc'])) or 'it'}: {one['msg']}" for one in error.errors(include_url=False)
        )
        raise SettingsError(printable(f"{path} is no table of prices ({wrong}); {OWN} is one to begin with.")) from None
    except (OSError, ValueError) as error:
        raise SettingsError(printable(f"The table of prices cannot be read: {error}.")) from error


def cost(work: Work, prices: PriceTable, now: float) -> Cost:
    """What the attempts of an electron's jobs took; one that has not ended up to now.

    Args:
        work: The electron.
        prices: What counts.
        now: Seconds since 1970.
    """
    return sum((cost_of_job(job, work, prices, now) for job in work.jobs), Cost())


def cost_of_job(job: Submitted, work: Work, prices: PriceTable, now: float) -> Cost:
    """The same of one of its jobs.

    Args:
        job: The job.
        work: The electron.
        prices: What counts.
        now: Seconds since 1970.
    """
    asked = job.asked
    if asked is None:
        return Cost()
    chosen = prices.FARGATE if asked.is_fargate else prices.EC2
    total = Cost()
    for attempt in job.attempts:
        if attempt.started_at is None:
            continue
        seconds = (attempt.stopped_at or now) - attempt.started_at
        if asked.is_fargate:
            pulled = work.pull(attempt, attempt.started_at)
            seconds = max(_FARGATES_SHORTEST, seconds + (attempt.started_at - pulled[0] if pulled else 0.0))
        hours = max(0.0, seconds) / _HOUR * asked.nodes
        vcpus, gb, gpus = asked.vcpus * hours, asked.memory_mib / 1024 * hours, asked.gpus * hours
        total += Cost(vcpus, gb, gpus, vcpus * chosen.vcpu_hour + gb * chosen.gb_hour + gpus * chosen.gpu_hour)
    return total
