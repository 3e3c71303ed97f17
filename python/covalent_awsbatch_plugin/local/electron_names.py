"""What the functions of jobs are called, of whose jobs only dispatch and node are known to the embedded AWS."""

from __future__ import annotations

from covalent_awsbatch_plugin.agreement.naming import parted_job_name

from .summary import JobSummary


class ElectronNames:
    """Looks names up in Covalent's database, each dispatch once. Where it does not have one, the node stands for it."""

    def __init__(self) -> None:
        self._names: dict[str, dict[int, str]] = {}

    def learn(self, dispatch_id: str, node_id: int, name: str) -> None:
        """Take a name that is known otherwise.

        Args:
            dispatch_id: The dispatch.
            node_id: The node of its graph.
            name: What its function is called.
        """
        self._names.setdefault(dispatch_id, {})[node_id] = name

    def name(self, job: JobSummary) -> str:
        """How the electron of a job is called in output: `train[3]`; of a foreign job the job's own name.

        Args:
            job: The job.
        """
        return self.label(job).partition(", job ")[0]

    def label(self, job: JobSummary) -> str:
        """How a job is called in output: `train[3], job 9b1c0000, dispatch 3f2a0000`; a foreign one by its own name.

        Args:
            job: The job.
        """
        parts = parted_job_name(job.name)
        if parts is None:
            return f"{job.name}, job {job.id[:8]}"
        dispatch_id, node_id = parts
        if dispatch_id not in self._names:
            self._names[dispatch_id] = _asked(dispatch_id)
        name = self._names[dispatch_id].get(node_id, "node")
        return f"{name}[{node_id}], job {job.id[:8]}, dispatch {dispatch_id[:8]}"


def _asked(dispatch_id: str) -> dict[int, str]:
    # Covalent comes first: it loads the executor as a plugin, and must find it whole.
    import covalent  # noqa: F401

    from covalent_awsbatch_plugin.server import database
    from covalent_awsbatch_plugin.server.database import DatabaseError

    try:
        found = database.dispatches([dispatch_id])
    except DatabaseError:
        return {}
    return {node: electron.name for one in found for node, electron in one.electrons.items()}
