"""The access keys that the embedded AWS accepts: that of this run, and those that its IAM and STS have issued."""

from __future__ import annotations

import base64
import secrets
from hmac import compare_digest

from botocore.credentials import Credentials
from moto.core.utils import utcnow
from moto.iam.models import iam_backends
from moto.sts.models import sts_backends


class Keys:
    """A new access key for one run, and the keys that moto has issued since.

    The id is random, so moto finds no user for it and uses the default account 123456789012.

    Attributes:
        access_key: The id of this run's key.
        secret_key: Its secret.
    """

    def __init__(self) -> None:
        self.access_key = "AKIA" + base64.b32encode(secrets.token_bytes(10)).decode()
        self.secret_key = secrets.token_urlsafe(30)

    def find(self, access_key: str, token: str | None) -> Credentials | None:
        """Returns the credentials that a request was signed with, None if they are unknown or expired.

        Args:
            access_key: The id that the request names.
            token: The session token that the request brings.
        """
        if access_key == self.access_key:
            return None if token else Credentials(access_key, self.secret_key)
        return _session_credentials(access_key, token) if token else _user_credentials(access_key)


# Iterates over copies, since other threads may change the originals meanwhile.


def _user_credentials(access_key: str) -> Credentials | None:
    for account in list(iam_backends.values()):
        for backend in list(account.values()):
            for user in list(backend.users.values()):
                for key in list(user.access_keys):
                    if key.access_key_id == access_key and key.status == "Active":
                        return Credentials(access_key, key.secret_access_key)
    return None


def _session_credentials(access_key: str, token: str) -> Credentials | None:
    for account in list(sts_backends.values()):
        for backend in list(account.values()):
            for role in list(backend.assumed_roles):
                if role.access_key_id != access_key or role.expiration <= utcnow():
                    continue
                if compare_digest(role.session_token.encode(), token.encode()):
                    return Credentials(access_key, role.secret_access_key, token)
    return None
