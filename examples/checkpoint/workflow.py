"""Trains in a job that is lost halfway, and goes on in its second attempt where the first one stopped."""

import json
import os
import signal
import sys

import covalent as ct

from covalent_awsbatch_plugin import AWSBatchExecutor, checkpoint

executor = AWSBatchExecutor(
    vcpu=1, memory=1, retry_attempts=3, time_limit=3600, checkpoint=True, checkpoint_interval=60
)


@ct.electron(executor=executor)
def train(epochs):
    """Fits a line to points, one step of gradient descent an epoch."""
    points = [(x / 10, 3 * x / 10 + 1) for x in range(20)]
    place = checkpoint.directory() / "state.json"
    state = json.loads(place.read_text()) if place.exists() else {"epoch": 0, "slope": 0.0, "offset": 0.0}
    attempt, began = os.environ.get("AWS_BATCH_JOB_ATTEMPT", "1"), state["epoch"]
    print(f"attempt {attempt} begins at epoch {began}")
    while state["epoch"] < epochs:
        errors = [(x, state["slope"] * x + state["offset"] - y) for x, y in points]
        state["slope"] -= 0.2 * sum(x * error for x, error in errors) / len(points)
        state["offset"] -= 0.2 * sum(error for _, error in errors) / len(points)
        state["epoch"] += 1
        # Another attempt never finds half a file: one that ends in .tmp is not stored.
        unfinished = place.with_name("state.tmp")
        unfinished.write_text(json.dumps(state))
        unfinished.replace(place)
        if attempt == "1" and state["epoch"] == epochs // 2:
            os.kill(os.getpid(), signal.SIGKILL)  # what a lost machine does, in small
    return attempt, began, state


@ct.lattice
def workflow(epochs):
    """One long job."""
    return train(epochs)


if __name__ == "__main__":
    epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    dispatch_id = ct.dispatch(workflow)(epochs)
    attempt, began, state = ct.get_result(dispatch_id, wait=True).result
    print(f"attempt {attempt} began at epoch {began} of {epochs}")
    print(f"y = {state['slope']:.2f} x + {state['offset']:.2f} after {state['epoch']} epochs")
