"""A fixture: a server that speaks S3."""

from support.bench_fixtures import bench_endpoint

__all__ = ["bench_endpoint"]
