"""PyTorch on the nodes of a job. Runs where PyTorch is installed: its wheel for Linux and what that needs take 5 GB."""

from __future__ import annotations

from typing import Any

import pytest
from support.task_bench import TaskBench

from covalent_awsbatch_plugin.errors import JobFailedError

pytest.importorskip("torch", reason="PyTorch is not installed")

NODES = 3


def training(failing: int | None = None) -> Any:
    """A function that trains a model on each node's own data, with gradients averaged over all nodes."""

    def train(steps: int) -> list[float]:
        import torch
        from torch import distributed

        distributed.init_process_group("gloo")
        rank, world = distributed.get_rank(), distributed.get_world_size()
        torch.manual_seed(rank)
        model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(1, 1, bias=False))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
        inputs = torch.rand(100, 1)
        for step in range(steps):
            if rank == failing and step == 2:
                raise ArithmeticError(f"node {rank} gives up")
            optimizer.zero_grad()
            loss = ((model(inputs) - 3 * inputs) ** 2).mean()
            loss.backward()
            optimizer.step()
        total = torch.tensor([float(rank)])
        distributed.all_reduce(total)
        distributed.destroy_process_group()
        return [world, total.item(), model.module.weight.item()]

    return train


def test_nodes_train_one_model(bench: TaskBench) -> None:
    """`init_process_group` finds everything in the variables that the runner sets."""
    executor = bench.executor(nodes=NODES, node_results="all", memory=2)
    found = bench.run(executor, training(), 100)
    assert [one[:2] for one in found] == [[NODES, 3.0]] * NODES
    assert len({one[2] for one in found}) == 1
    assert found[0][2] == pytest.approx(3, abs=0.01)


def test_a_node_that_raises_is_told_of_and_not_those_that_lost_it(bench: TaskBench) -> None:
    with pytest.raises(JobFailedError, match="ArithmeticError: node 2 gives up") as caught:
        bench.run(bench.executor(nodes=NODES, memory=2), training(failing=2), 100)
    assert caught.value.details["node"] == 2
