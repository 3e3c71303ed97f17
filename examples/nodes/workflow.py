"""Fits a line to points that lie on three machines, which tell each other their gradients, but not their points."""

import covalent as ct

from covalent_awsbatch_plugin import AWSBatchExecutor

NODES = 3

# The result is a list of what each machine returns.
executor = AWSBatchExecutor(nodes=NODES, node_results="all", vcpu=1, memory=1, time_limit=300)


@ct.electron(executor=executor)
def fit(slope, steps=200):
    """What each machine takes the slope of the line for, after as many steps as all of them took together."""
    import os
    import random
    import socket
    from contextlib import ExitStack

    from covalent_awsbatch_plugin import nodes

    own = random.Random(nodes.index())
    points = [(x, slope * x + own.gauss(0, 0.1)) for x in (own.uniform(-1, 1) for _ in range(1000))]
    place = nodes.main_address(), int(os.environ["MASTER_PORT"])
    with ExitStack() as stack:
        # Node 0 listens, and then all of them know that it does.
        if nodes.index() == 0:
            listener = stack.enter_context(socket.create_server(place))
            nodes.barrier()
            lines = [stack.enter_context(listener.accept()[0]).makefile("rw") for _ in range(1, nodes.count())]
        else:
            nodes.barrier()
            lines = [stack.enter_context(socket.create_connection(place)).makefile("rw")]

        def all_reduce(value):
            """The sum of what the nodes have: each tells node 0, and node 0 tells each."""
            if nodes.index() == 0:
                value += sum(float(line.readline()) for line in lines)
            for line in lines:
                line.write(f"{value!r}\n")
                line.flush()
            return value if nodes.index() == 0 else float(lines[0].readline())

        found = 0.0
        for _ in range(steps):
            gradient = sum(x * (found * x - y) for x, y in points) / len(points)
            found -= all_reduce(gradient) / nodes.count()
    print(f"node {nodes.index()} of {nodes.count()}: {found:.4f}")
    return found


@ct.lattice
def regression(slope):
    """One job on all machines."""
    return fit(slope)


if __name__ == "__main__":
    dispatch_id = ct.dispatch(regression)(1.5)
    found = ct.get_result(dispatch_id, wait=True).result
    print(f"slope: {found[0]:.2f}; the same on all {len(found)} nodes: {len(set(found)) == 1}")
