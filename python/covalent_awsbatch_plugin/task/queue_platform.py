"""What a task's job runs on, where nobody said it: what its queue has."""

from __future__ import annotations

import asyncio

from covalent_awsbatch_plugin import errors
from covalent_awsbatch_plugin._core import Client
from covalent_awsbatch_plugin.options import checks, limits
from covalent_awsbatch_plugin.options.settings import Settings

_UNKNOWN: limits.Platform = "EC2"  # as it was before anybody asked


async def found(settings: Settings, connection: Client) -> limits.Platform:
    """The value of the option `platform`: the one that was given, else that of the queue.

    Args:
        settings: The task's options.
        connection: Connection to use; AWS is asked once for all tasks with the same queues.

    Returns:
        `EC2`, `FARGATE` …; `EC2` where nobody says it.

    Raises:
        SettingsError: Another option cannot work on the platform of the queue, or one of `retry_queues` is of another.
    """
    asked = () if settings.platform else (settings.batch_queue,)
    queues = (*asked, *settings.retry_queues)
    platforms = dict(zip(queues, await asyncio.gather(*map(connection.queue_platform, queues)), strict=True))
    platform = settings.platform or platforms[settings.batch_queue]
    for queue in settings.retry_queues:
        if platform and platforms[queue] not in (None, platform):
            raise errors.SettingsError(
                f"AWSBatchExecutor: retry_queues has {queue}, which is of {platforms[queue]}, and the task's first job "
                f"is for {platform}: all jobs of a task have the same platform. Name queues of {platform} there, or "
                f"make {queue} the batch_queue of an executor of its own."
            )
    if settings.platform:
        return settings.platform
    try:
        return checks.checked({**dict(settings), "platform": platform or _UNKNOWN}).platform
    except errors.SettingsError as error:
        known = f"Nobody gave platform, and the queue {settings.batch_queue} is of {platform or _UNKNOWN}."
        raise errors.SettingsError(f"{error.message}\n{known}", **error.details) from None
