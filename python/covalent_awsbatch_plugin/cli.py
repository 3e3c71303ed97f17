"""The command line: `covalent-awsbatch`. What a command needs is imported when it runs, so that help is quick."""

from __future__ import annotations

import signal
import sys
from typing import Any

import click

from .printable import printable
from .show import commands
from .show.help import Command, Group
from .show.help import ExecutorCommand as _ExecutorCommand
from .show.problem import Problem

_JOBS_FLAGS = {
    "--queue": "batch_queue",
    "--region": "region",
    "--profile": "profile",
    "--credentials": "credentials",
    "--endpoint-url": "endpoint_url",
}
"""The executor's options by which the queue is found."""

_LOGS_FLAGS = {**_JOBS_FLAGS, "--log-group": "batch_job_log_group_name"}
"""Those by which a job's log is found, too."""

_REPORT_FLAGS = {**_JOBS_FLAGS, "--s3-bucket-name": "s3_bucket_name", "--s3-bucket-owner": "s3_bucket_owner"}
"""Those by which what jobs left is found, too."""

_ENVIRONMENT_FLAGS = {
    "--s3-bucket-name": "s3_bucket_name",
    "--s3-bucket-owner": "s3_bucket_owner",
    "--s3-kms-key-id": "s3_kms_key_id",
    "--runtime": "runtime",
    "--ecr-repo-name": "ecr_repo_name",
    "--container-image-uri": "container_image_uri",
    "--region": "region",
    "--profile": "profile",
    "--credentials": "credentials",
    "--endpoint-url": "endpoint_url",
}
"""The executor's options by which the bucket is found and written to."""


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="covalent-awsbatch-plugin", prog_name="covalent-awsbatch")
def main() -> None:
    """Runs the electrons of a Covalent workflow as AWS Batch jobs."""


@main.command(cls=Command)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="Port to listen on, 0 for any free one; the next time it is the default. Else a free one is taken.",
)
@click.option("--max-vcpus", default=16, show_default=True, type=click.IntRange(1), help="vCPUs that run at once.")
@click.option("--region", default="us-east-1", show_default=True, help="The AWS region it plays.")
@click.option("--configure", is_flag=True, help="Point Covalent's configuration file at it until it ends.")
def local(port: int | None, max_vcpus: int, region: str, configure: bool) -> None:
    """Run an embedded AWS on this machine, whose Batch jobs really run; Ctrl-C ends it.

    Jobs run with your rights, for whoever can read the credentials file that it names: you alone.
    """
    try:
        from .local.foreground import run_local

        run_local(port=port, region=region, max_vcpus=max_vcpus, configure=configure)
    except (ImportError, OSError) as error:
        raise Problem(printable(error)) from error


@main.command(cls=Command)
@click.option("--keep", is_flag=True, help="Leave AWS and server up afterwards, to be looked at, until Ctrl-C.")
def demo(*, keep: bool) -> None:
    """Run a workflow on an embedded AWS and a Covalent server of its own, and show what happens."""
    # So that SIGTERM unwinds as Ctrl-C does, and nothing stays behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        from .local.demo import run_demo

        sys.exit(run_demo(keep=keep))
    except (ImportError, RuntimeError) as error:
        raise Problem(printable(error)) from error


@main.command(cls=_ExecutorCommand, flags=_JOBS_FLAGS)
@click.option("--all", "ended", is_flag=True, help="Show jobs that have ended, too, as long as Batch knows them.")
@click.option("--orphans", is_flag=True, help="Show only live jobs that nobody waits for.")
@click.option("--terminate", is_flag=True, help="End those, after showing them and asking.")
@click.option("--force", is_flag=True, help="Count as orphans also jobs of this server of which it cannot be told.")
@click.option("--yes", is_flag=True, help="Terminate without asking.")
@click.option("--watch", is_flag=True, help="Show them as they change, until Ctrl-C.")
@click.option("--wide", is_flag=True, help="Show whole ids and reasons, whatever the width.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def jobs(*, watch: bool, ended: bool, **options: Any) -> None:
    """Show the executor's jobs in the queue and who waits for them; end those that nobody waits for.

    Queue, account and region are those of the section [executors.awsbatch] of Covalent's configuration, unless an
    option says otherwise. Run it where the Covalent server runs, as its user: only there can be told which jobs were
    lost when the server was killed. Each id that it shows is enough for the other commands.

    Exit status: 0 fine, 1 something failed, 2 it could not be told of some job whether anybody waits for it.
    """
    if watch and (options["terminate"] or options["as_json"]):
        raise click.UsageError("--watch only shows: give it without --terminate and --json")
    names = ("orphans", "terminate", "force", "yes", "as_json", "wide")
    asked = {name: options.pop(name) for name in names}

    def run(settings: Any, spinner: Any) -> int:
        from .show.job_watch import watch_jobs
        from .show.jobs import Flags, run_jobs

        return (watch_jobs if watch else run_jobs)(settings, Flags(ended, **asked), spinner)

    commands.on_dispatch(run, options)


@main.command(cls=_ExecutorCommand, flags=_LOGS_FLAGS)
@click.argument("which", metavar="[DISPATCH|JOB]", default="newest")
@click.argument("node", type=click.IntRange(0), required=False)
@click.option("--follow", "-f", is_flag=True, help="Go on until the dispatch or the job has ended.")
@click.option("--tail", type=click.IntRange(0), help="Begin with so many lines of each electron.")
@click.option("--json", "as_json", is_flag=True, help="Write a JSON object for each line.")
def logs(*, which: str, node: int | None, follow: bool, tail: int | None, as_json: bool, **options: str | None) -> None:
    """Show what the electrons of a dispatch write, while they run and afterwards.

    The beginning of an id is enough; without one it is the newest dispatch. Lines come from CloudWatch Logs; where
    there are none, from what Covalent keeps. Run it where the Covalent server runs, as its user: elsewhere only the
    jobs in the queue are known.

    Exit status: 0 fine, 1 something could not be read, 2 there is no such dispatch, job or node.
    """

    def run(settings: Any, spinner: Any) -> int:
        from .show.logs import Flags, run_logs

        return run_logs(which, node, settings, Flags(follow, tail, as_json), spinner)

    commands.on_dispatch(run, options)


@main.command(cls=_ExecutorCommand, flags=_JOBS_FLAGS)
@click.argument("dispatch", default="newest")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def why(*, dispatch: str, as_json: bool, **options: str | None) -> None:
    """Show why electrons of a dispatch failed: what happened, where in the function, and what to type next.

    The beginning of an id is enough; without one it is the newest dispatch. Run it where the Covalent server runs, as
    its user; the server need not run.

    Exit status: 0 fine, 1 something could not be found out, 2 there is no such dispatch.
    """

    def run(settings: Any, spinner: Any) -> int:
        from .show.why import run_why

        return run_why(dispatch, settings, spinner, as_json=as_json)

    commands.on_dispatch(run, options)


main.command(cls=_ExecutorCommand, flags=_LOGS_FLAGS)(commands.watch)
main.command(cls=_ExecutorCommand, flags=_REPORT_FLAGS)(commands.report)


@main.command(cls=Command)
@click.argument("dispatches", nargs=-1, metavar="[DISPATCH]...")
@click.option("--all", "everything", is_flag=True, help="All that an earlier server left.")
@click.option(
    "--end", is_flag=True, help="End them as FAILED, with their jobs, after asking, instead of resuming them."
)
@click.option("--yes", is_flag=True, help="End without asking.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def resume(*, dispatches: tuple[str, ...], everything: bool, end: bool, yes: bool, as_json: bool) -> None:
    """Go on with dispatches whose Covalent server was killed or stopped, under their ids.

    Results that are there are taken, live jobs are watched again, and what had not begun is submitted. Start the server
    first, and run this where it runs, as its user. Without a dispatch and without --all it shows which there are.

    Exit status: 0 fine, 1 something failed, 2 there are some, and nothing was asked for.
    """
    # Covalent comes first: it loads the executor as a plugin, and must find it whole.
    import covalent  # noqa: F401

    from .show.resume import Flags, run_resume

    if dispatches and everything:
        raise click.UsageError("name dispatches or give --all, not both")
    if end and not (dispatches or everything):
        raise click.UsageError("--end takes dispatches or --all")
    sys.exit(run_resume(dispatches, Flags(everything, end, yes, as_json)))


@main.group()
def environment() -> None:
    """What jobs fetch from the bucket where their image has nothing but Python: make it, list it, delete old ones.

    With an ECR repository (ecr_repo_name) it is about the images that are made there. Bucket, repository, account and
    region are those of the section [executors.awsbatch] of Covalent's configuration, unless an
    option says otherwise.
    """


@environment.command(cls=_ExecutorCommand, flags=_ENVIRONMENT_FLAGS, short_help="Make what this machine's tasks fetch")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def build(*, as_json: bool, **options: str | None) -> None:
    """Make the environment of this machine, so that its first task does not wait for it.

    It has Covalent, this package and all that they need, as they are installed here. Where it is in the bucket
    already, nothing is done.
    """
    _on_environments("run_make", options, anew=False, as_json=as_json)


@environment.command(
    "list", cls=_ExecutorCommand, flags=_ENVIRONMENT_FLAGS, short_help="Show what is there, and when it was in use"
)
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def list_(*, as_json: bool, **options: str | None) -> None:
    """Show what is in the bucket: how much, when it was last in use (to a day), and whether this machine uses it."""
    _on_environments("run_list", options, as_json=as_json)


@environment.command(cls=_ExecutorCommand, flags=_ENVIRONMENT_FLAGS, short_help="Make it anew, whatever is there")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def refresh(*, as_json: bool, **options: str | None) -> None:
    """Make the environment of this machine anew and upload all of it, whatever is there.

    An image is deleted before it is made anew, on its base as it is now: a job that waits for it fails.
    """
    _on_environments("run_make", options, anew=True, as_json=as_json)


@environment.command(
    cls=_ExecutorCommand, flags=_ENVIRONMENT_FLAGS, short_help="Delete what was not in use for some time"
)
@click.option(
    "--older-than",
    default=30,
    show_default=True,
    type=click.IntRange(2),
    help="Days since it was last in use; 2 at least, as a job may wait that long.",
)
@click.option("--yes", is_flag=True, help="Delete without asking.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
def prune(*, older_than: int, yes: bool, as_json: bool, **options: str | None) -> None:
    """Delete what no server has used for some time, after showing it and asking.

    What tasks of this machine use stays, and what a server uses, which renews it each day.
    """
    _on_environments("run_prune", options, older_than=older_than, yes=yes, as_json=as_json)


def _on_environments(name: str, options: dict[str, str | None], **flags: Any) -> None:
    # Covalent comes first: it loads the executor as a plugin, and must find it whole.
    import covalent  # noqa: F401

    from .errors import AWSBatchError
    from .options.checks import checked
    from .options.configuration import resolved
    from .show import environments

    given = commands.given(options)
    try:
        getattr(environments, name)(checked(resolved(given), given), **flags)
    except AWSBatchError as error:
        raise Problem(commands.said(error)) from error


@main.command(cls=_ExecutorCommand)
@click.option("--run", is_flag=True, help="Submit one tiny job, too, and follow it.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@click.option("--verbose", is_flag=True, help="Show what each place says that may have credentials.")
def doctor(*, run: bool, as_json: bool, verbose: bool, **options: str | None) -> None:
    """Check all that a task needs, in the order in which it needs it, and say how to mend what is wrong.

    Looked at is what the section [executors.awsbatch] of Covalent's configuration says, unless an option says
    otherwise. It changes nothing: in the bucket it writes an object of its own, reads and deletes it.

    Exit status: 0 all is well, 1 something is wrong, 2 nothing is, but something could not be told.
    """
    from .show.spinner import Spinner

    with Spinner("reading Covalent's configuration") as spinner:
        # Covalent comes first: it loads the executor as a plugin, and must find it whole.
        import covalent  # noqa: F401

        from .doctor.command import Flags, run_doctor

        sys.exit(run_doctor(commands.given(options), Flags(run, as_json, verbose), spinner))


@main.command(cls=_ExecutorCommand)
@click.argument("whose", type=click.Choice(["user", "job", "execution"]))
@click.option("--doctor", "for_doctor", is_flag=True, help="With what the doctor can tell more by.")
@click.option("--prune", "for_prune", is_flag=True, help="With what `environment prune` and `refresh` delete by.")
@click.option("--account", help="Account number; AWS is asked for it where it is not given.")
@click.option("--example", is_flag=True, help="With placeholders, whatever is configured.")
def policy(
    *, whose: str, for_doctor: bool, for_prune: bool, account: str | None, example: bool, **options: str | None
) -> None:
    """Print the least IAM policy for whoever runs Covalent's server (user), the job role (job) or the execution role.

    The execution role needs it for the option `secrets`, besides AWS's own AmazonECSTaskExecutionRolePolicy.

    Its resources are those of the section [executors.awsbatch] of Covalent's configuration, unless an option says
    otherwise.
    """
    import covalent  # noqa: F401

    from .doctor.policy import DOCTOR, PRUNE, printed
    from .errors import AWSBatchError

    try:
        if (for_doctor or for_prune) and whose != "user":
            flag = "--doctor" if for_doctor else "--prune"
            raise click.UsageError(f"{flag} is about whoever runs the command: covalent-awsbatch policy user {flag}")
        more = (*(DOCTOR if for_doctor else ()), *(PRUNE if for_prune else ()))
        click.echo(printed(whose, commands.given(options), more, account=account, example=example))
    except AWSBatchError as error:
        raise Problem(commands.said(error)) from error


@main.command(cls=Command)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(*, shell: str) -> None:
    """Print what completes commands, options and values in a shell, to be evaluated where it starts.

    That is ~/.bashrc, ~/.zshrc, or for fish a file in ~/.config/fish/completions.
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(main, {}, "covalent-awsbatch", "_COVALENT_AWSBATCH_COMPLETE").source())


if __name__ == "__main__":
    main()
