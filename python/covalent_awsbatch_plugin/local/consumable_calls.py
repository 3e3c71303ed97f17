"""The calls of AWS Batch about consumable resources, of which moto has none."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from moto.batch.exceptions import ClientException
from moto.batch.responses import BatchResponse

from .consumables import Consumable
from .job import LocalJob, now
from .scheduler import Scheduler

PATHS = tuple(
    f"{{0}}/v1/{call}$"
    for call in (
        "createconsumableresource",
        "deleteconsumableresource",
        "describeconsumableresource",
        "listconsumableresources",
        "listjobsbyconsumableresource",
        "updateconsumableresource",
    )
)
"""Where they are called, as moto writes it."""

_SUMMARY = ("consumableResourceName", "consumableResourceArn", "totalQuantity", "inUseQuantity", "resourceType")


class ConsumableResponse(BatchResponse):
    """Answers them."""

    scheduler: ClassVar[Scheduler]

    def createconsumableresource(self) -> str:
        """Creates a consumable resource."""
        name, backend = self._get_param("consumableResourceName"), self.batch_backend
        arn = f"arn:aws:batch:{backend.region_name}:{backend.account_id}:consumable-resource/{name}"
        kind, total = self._get_param("resourceType") or "REPLENISHABLE", int(self._get_param("totalQuantity") or 0)
        self.scheduler.consumables.add(Consumable(name, arn, total, kind, now(), self._get_param("tags") or {}))
        return json.dumps({"consumableResourceName": name, "consumableResourceArn": arn})

    def describeconsumableresource(self) -> str:
        """Describes one."""
        return json.dumps(self._asked_for().describe())

    def listconsumableresources(self) -> str:
        """Lists all of them, whatever page is asked for."""
        described = [one.describe() for one in self.scheduler.consumables.all()]
        return json.dumps({"consumableResources": [{name: one[name] for name in _SUMMARY} for one in described]})

    def updateconsumableresource(self) -> str:
        """Changes how much there is, after which waiting jobs may have it."""
        one, quantity = self._asked_for(), int(self._get_param("quantity") or 0)
        operation = self._get_param("operation") or "SET"
        totals = {"SET": quantity, "ADD": one.total + quantity, "REMOVE": one.total - quantity}
        if totals.get(operation, -1) < 0:
            raise ClientException(f"{operation} {quantity} leaves no quantity that there can be")
        one.total = totals[operation]
        self.scheduler.place()
        described = one.describe()
        return json.dumps({name: described[name] for name in _SUMMARY[:3]})

    def deleteconsumableresource(self) -> str:
        """Deletes one."""
        self.scheduler.consumables.remove(self._get_param("consumableResource"))
        return "{}"

    def listjobsbyconsumableresource(self) -> str:
        """Lists the jobs that ask for one, whatever page is asked for."""
        one = self._asked_for()
        jobs = [job for job in self.scheduler.jobs if {one.name, one.arn} & job.consumables.keys()]
        return json.dumps({"jobs": [_summary(job, one) for job in jobs]})

    def _asked_for(self) -> Consumable:
        return self.scheduler.consumables.find(self._get_param("consumableResource"))


def _summary(job: LocalJob, one: Consumable) -> dict[str, Any]:
    asked = job.consumables.get(one.name) or job.consumables[one.arn]
    return {
        "jobArn": job.arn,
        "jobQueueArn": job.job_queue.arn,
        "jobName": job.job_name,
        "jobDefinitionArn": job.job_definition.arn,
        "jobStatus": job.status,
        "quantity": asked,
        "createdAt": job.created_at,
        "consumableResourceProperties": {
            "consumableResourceList": [
                {"consumableResource": name, "quantity": quantity} for name, quantity in job.consumables.items()
            ]
        },
    }
