"""How sure a mean is, by resampling: each pod draws its own samples, on a quarter of a processor."""

import os
import sys

import covalent as ct

from covalent_awsbatch_plugin import AWSBatchExecutor

PODS, DRAWS = 4, 500

# That the queue is of EKS is found out; vCPUs come in quarters there, and the role is that of the service account.
executor = AWSBatchExecutor(
    batch_queue=os.environ.get("POD_QUEUE", "pods-queue"),
    vcpu=0.25,
    memory=0.5,
    time_limit=300,
    eks_service_account="covalent-jobs",
)


@ct.electron(executor=executor)
def means(values, seed):
    """Means of samples of the values, drawn with replacement."""
    import random

    print(f"in queue {os.environ['AWS_BATCH_JQ_NAME']}")
    own = random.Random(seed)
    return [sum(own.choices(values, k=len(values))) / len(values) for _ in range(DRAWS)]


@ct.electron(executor=executor)
def interval(parts):
    """Where 95 of 100 means lie."""
    found = sorted(mean for part in parts for mean in part)
    return found[len(found) // 40], found[-(len(found) // 40) - 1]


@ct.lattice
def bootstrap(values, pods):
    """One job for each pod's share, and one that puts them together."""
    return interval([means(values, seed) for seed in range(pods)])


if __name__ == "__main__":
    values = [float(value) for value in sys.argv[1:]] or [4.1, 5.6, 3.9, 6.2, 5.0, 4.7, 5.3, 5.8, 4.4, 5.1]
    dispatch_id = ct.dispatch(bootstrap)(values, PODS)
    low, high = ct.get_result(dispatch_id, wait=True).result
    print(f"mean {sum(values) / len(values):.2f}; 95 of 100 between {low:.2f} and {high:.2f}")
