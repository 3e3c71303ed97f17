"""Adds `SimulatePrincipalPolicy` to moto's IAM, for roles and users by their policies.

An unknown principal, such as that of the embedded AWS's own credentials, is allowed everything.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import moto.iam.urls
from moto.core.responses import ActionResult
from moto.iam.access_control import IAMPolicy, PermissionResult
from moto.iam.models import Role, User
from moto.iam.responses import IamResponse

from .api import patched_responses


class LocalIamResponse(IamResponse):
    """Answers IAM's calls, with moto where it supports them."""

    def simulate_principal_policy(self) -> ActionResult:
        """Evaluates for each action and resource whether the policies of a role or user allow it."""
        principal = self._principal(str(self._get_param("PolicySourceArn")))
        results = [
            {
                "EvalActionName": action,
                "EvalResourceName": resource,
                "EvalDecision": "allowed"
                if principal is None or _allows(principal, action, resource)
                else "implicitDeny",
            }
            for action in self._get_param("ActionNames")
            for resource in self._get_param("ResourceArns") or ["*"]
        ]
        return ActionResult({"EvaluationResults": results, "IsTruncated": False})

    def _principal(self, arn: str) -> Role | User | None:
        name = arn.rpartition("/")[2]
        if ":role/" in arn:
            return self.backend.get_role(name)
        return self.backend.users.get(name)


@contextmanager
def patched_iam() -> Iterator[None]:
    """Adds `SimulatePrincipalPolicy` to IAM while the `with` block runs."""
    with patched_responses(moto.iam.urls, LocalIamResponse):
        yield


def _allows(principal: Role | User, action: str, resource: str) -> bool:
    documents: list[Any] = [*principal.policies.values(), *principal.managed_policies.values()]
    verdicts = {IAMPolicy(document).is_action_permitted(action, resource) for document in documents}
    return PermissionResult.PERMITTED in verdicts and PermissionResult.DENIED not in verdicts
