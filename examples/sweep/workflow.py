"""Looks for the lowest point of a landscape from many starting points, each in a job of its own."""

import math
import random
import sys

import covalent as ct

from covalent_awsbatch_plugin import AWSBatchExecutor

# Only what AWS is to blame for is tried again: an exception of the function would come again.
executor = AWSBatchExecutor(vcpu=1, memory=1, time_limit=300, retry_on="infrastructure")


@ct.electron(executor=executor)
def descend(seed, steps=2000):
    """The lowest height that a walk of small random steps finds, and where."""

    def height(x, y):
        return 20 + x * x + y * y - 10 * (math.cos(2 * math.pi * x) + math.cos(2 * math.pi * y))

    walk = random.Random(seed)
    place = walk.uniform(-5, 5), walk.uniform(-5, 5)
    for _ in range(steps):
        there = place[0] + walk.gauss(0, 0.3), place[1] + walk.gauss(0, 0.3)
        place = min(place, there, key=lambda point: height(*point))
    print(f"start {seed}: {height(*place):.4f}")
    return height(*place), place


@ct.electron(executor=executor)
def lowest(found):
    """The best of all."""
    return min(found)


@ct.lattice
def sweep(starts):
    """One job for each starting point, and one for the best."""
    return lowest([descend(seed) for seed in range(starts)])


if __name__ == "__main__":
    starts = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    dispatch_id = ct.dispatch(sweep)(starts)
    height, (x, y) = ct.get_result(dispatch_id, wait=True).result
    print(f"lowest of {starts}: {height:.4f} at ({x:.3f}, {y:.3f})")
