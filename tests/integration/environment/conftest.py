"""Fixtures: a job of the runner, without AWS Batch around it."""

from support.bench_fixtures import bench as runner_bench
from support.bench_fixtures import bench_endpoint

__all__ = ["bench_endpoint", "runner_bench"]
