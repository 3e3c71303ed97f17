"""Fixtures: a job of the runner, without AWS Batch around it."""

from support.bench_fixtures import bench, bench_endpoint

__all__ = ["bench", "bench_endpoint"]
