"""Trains a small network, on a GPU with CuPy or on the processor with NumPy."""

import os

import covalent as ct

from covalent_awsbatch_plugin import AWSBatchExecutor

gpus = int(os.environ.get("GPUS", "0"))

if gpus:
    executor = AWSBatchExecutor(
        vcpu=4,
        memory=14,
        num_gpus=gpus,
        time_limit=3600,
        container_image_uri=os.environ["IMAGE"],
        runtime="bucket",
        packages=["cupy-cuda12x", "numpy"],
    )
else:
    executor = AWSBatchExecutor(vcpu=1, memory=2, packages=["numpy"])


@ct.electron(executor=executor)
def train(steps, rate=1.0, hidden=32):
    """The share of points inside and outside of a ring that the trained network tells apart."""
    try:
        import cupy as np

        print(f"training on {np.cuda.runtime.getDeviceCount()} GPU")
    except Exception as error:  # no CuPy, no driver, no device
        import numpy as np

        print(f"training on the processor ({type(error).__name__})")
    np.random.seed(0)
    points = np.random.uniform(-1, 1, (2000, 2))
    inside = ((points**2).sum(1) < 0.5).astype(float)[:, None]
    first, second = np.random.normal(size=(2, hidden)), np.random.normal(size=(hidden, 1))
    shift, bias = np.zeros(hidden), 0.0
    for step in range(steps):
        layer = np.tanh(points @ first + shift)
        guess = 1 / (1 + np.exp(-(layer @ second + bias)))
        error = (guess - inside) / len(points)
        back = (error @ second.T) * (1 - layer**2)
        second -= rate * layer.T @ error
        bias -= rate * float(error.sum())
        first -= rate * points.T @ back
        shift -= rate * back.sum(0)
        if step % 500 == 0:
            print(f"step {step}: {float(((guess > 0.5) == inside).mean()):.3f}")
    return float(((guess > 0.5) == inside).mean())


@ct.lattice
def workflow(steps):
    """One job."""
    return train(steps)


if __name__ == "__main__":
    dispatch_id = ct.dispatch(workflow)(2000)
    result = ct.get_result(dispatch_id, wait=True)
    print(result.get_node_result(0)["stdout"], end="")
    print(f"told apart: {result.result:.3f}")
