"""The command line: `covalent-awsbatch`. What a command needs is imported when it runs, so that help is quick."""

from __future__ import annotations

import signal
import sys

import click


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="covalent-awsbatch-plugin", prog_name="covalent-awsbatch")
def main() -> None:
    """Runs the electrons of a Covalent workflow as AWS Batch jobs."""


@main.command()
@click.option("--port", default=0, type=click.IntRange(0, 65535), help="Port to listen on; 0 takes a free one.")
@click.option("--max-vcpus", default=16, show_default=True, type=click.IntRange(1), help="vCPUs that run at once.")
@click.option("--region", default="us-east-1", show_default=True, help="The AWS region it plays.")
@click.option("--configure", is_flag=True, help="Point Covalent's configuration file at it until it ends.")
def local(port: int, max_vcpus: int, region: str, configure: bool) -> None:
    """Run an embedded AWS on this machine, whose Batch jobs really run; Ctrl-C ends it."""
    try:
        from .local.foreground import run_local

        run_local(port=port, region=region, max_vcpus=max_vcpus, configure=configure)
    except (ImportError, OSError) as error:
        raise click.ClickException(str(error)) from error


@main.command()
def demo() -> None:
    """Run a workflow on an embedded AWS and a Covalent server of its own, and show what happens."""
    # So that SIGTERM unwinds as Ctrl-C does, and nothing stays behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        from .local.demo import run_demo

        sys.exit(run_demo())
    except (ImportError, RuntimeError) as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
