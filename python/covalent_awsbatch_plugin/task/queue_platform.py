"""What a task's job runs on, where nobody said it: what its queue has."""

from __future__ import annotations

from covalent_awsbatch_plugin import errors
from covalent_awsbatch_plugin._core import Client
from covalent_awsbatch_plugin.options import checks, limits
from covalent_awsbatch_plugin.options.settings import Settings


async def found(settings: Settings, connection: Client) -> limits.Platform:
    """The value of the option `platform`: the one that was given, else that of the queue.

    Args:
        settings: The task's options.
        connection: Connection to use; AWS is asked once for all tasks with the same queue.

    Returns:
        `EC2`, `FARGATE` …

    Raises:
        SettingsError: Another option cannot work on the platform of the queue.
    """
    if settings.platform:
        return settings.platform
    platform = await connection.queue_platform(settings.batch_queue)
    try:
        return checks.checked({**dict(settings), "platform": platform}).platform
    except errors.SettingsError as error:
        known = f"Nobody gave platform, and the queue {settings.batch_queue} is of {platform}."
        raise errors.SettingsError(f"{error.message}\n{known}", **error.details) from None
