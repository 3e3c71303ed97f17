"""The doctor names what is wrong, with its fix: over HTTP, on the embedded AWS."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import toml
from click.testing import CliRunner
from support.doctor import BUCKET, ENVIRONMENT, REGISTRY, ask, flags_of

from covalent_awsbatch_plugin.cli import main
from covalent_awsbatch_plugin.doctor.checks.base import Case
from covalent_awsbatch_plugin.doctor.command import made
from covalent_awsbatch_plugin.local import LocalAWS
from covalent_awsbatch_plugin.options.settings import DEFAULTS, Settings
from covalent_awsbatch_plugin.task.connection import client

NAMES = [
    "credentials",
    "region",
    "clock",
    "bucket",
    "objects",
    "encryption",
    "queue",
    f"environment {ENVIRONMENT}",
    "execution role",
    "job role",
    "job role's rights",
    "log group",
    "image",
    "packages",
    "permissions",
    "server",
]
PLACES = [
    ("account", "123456789012"),
    ("region", "us-east-1"),
    ("queue", "covalent-batch-queue"),
    ("bucket", "gone"),
]


def test_all_is_well(options: dict[str, Any]) -> None:
    report = ask(options)
    assert [one["name"] for one in report.checks] == NAMES
    assert (report.code, report.wrong(), report.untold()) == (0, {}, {})
    assert report.found("image").endswith("amd64, pushed today")


def test_it_leaves_nothing_in_the_bucket(aws: LocalAWS, options: dict[str, Any]) -> None:
    ask(options)
    assert aws.client("s3").list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0


@pytest.mark.parametrize(
    ("broken", "name", "said"),
    [
        ({"s3_bucket_name": "gone"}, "bucket", ("no bucket gone", "aws s3 mb s3://gone")),
        ({"region": "eu-central-1"}, "queue", ("no queue", "eu-central-1", "set `batch_queue` and `region`")),
        ({"batch_queue": "gone"}, "queue", ("there is no queue gone", "set `batch_queue`")),
        ({"batch_job_role_name": "Gone"}, "job role", ("there is no role Gone", "create it", "batch_job_role_name")),
        ({"batch_execution_role_name": "Gone"}, "execution role", ("no role Gone", "batch_execution_role_name")),
        (
            {"batch_job_role_name": "ecsInstanceRole"},
            "job role",
            ("ecsInstanceRole does not trust ecs-tasks.amazonaws.com", "update-assume-role-policy"),
        ),
        ({"batch_job_role_name": "arn:aws:iam::210987654321:role/Other"}, "job role", ("another account",)),
        (
            {"batch_job_role_name": "ecsTaskExecutionRole"},
            "job role's rights",
            ("it may not s3:GetObject on", "s3:PutObject", "covalent-awsbatch policy job"),
        ),
        ({"batch_job_log_group_name": "gone"}, "log group", ("no log group gone", "create-log-group")),
        ({"container_image_uri": f"{REGISTRY}/team/jobs:v2"}, "image", ("holds no image v2", "push it")),
        ({"container_image_uri": f"{REGISTRY}/gone:v1"}, "image", ("no ECR repository gone", "container_image_uri")),
        ({"container_image_uri": f"{REGISTRY}/team/jobs:arm64"}, "image", ("for arm64", "linux/amd64")),
        ({"vcpu": 99}, f"environment {ENVIRONMENT}", ("never fit", "at most 16 vCPUs", "vcpu=99", "ask for less")),
        ({"memory": "much"}, "configuration", ("memory='much'", "must be a number of GB")),
    ],
)
def test_what_is_wrong_is_named_with_its_fix(
    options: dict[str, Any], broken: dict[str, Any], name: str, said: tuple[str, ...]
) -> None:
    report = ask({**options, **broken})
    assert report.code == 1
    for part in said:
        assert part in report.wrong()[name]


def test_the_program_reads_the_section_and_prints_lines(options: dict[str, Any], tmp_path: Path) -> None:
    section = {"executors": {"awsbatch": {**options, "s3_bucket_name": "gone"}}}
    (tmp_path / "covalent.conf").write_text(toml.dumps(section))
    command = [sys.executable, "-m", "covalent_awsbatch_plugin.cli", "doctor"]
    environment = {**os.environ, "COVALENT_CONFIG_DIR": str(tmp_path), "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, encoding="utf-8", timeout=60)
    assert done.returncode == 1, done.stderr
    lines = done.stdout.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("✗ bucket "))
    column = lines[at].index("there is no bucket gone")
    assert lines[at + 1].startswith(f"{' ' * column}→ create it: `aws s3 mb s3://gone")
    assert lines[:4] == [f"  {name:<17} {value}" for name, value in PLACES]
    assert re.fullmatch(r"Something is wrong. 14 checks in \d+\.\d s: 12 well, 2 wrong.", lines[-2])
    assert lines[-1].startswith("Next: mend bucket as its → says")
    options_given = ["--s3-bucket-name", BUCKET]
    done = subprocess.run(
        command + options_given, env=environment, capture_output=True, text=True, encoding="utf-8", timeout=60
    )
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-2].startswith("All is well. 16 checks")
    assert done.stdout.splitlines()[-1] == "Next: `covalent-awsbatch doctor --run` runs one tiny job"


@pytest.mark.parametrize("columns", [80, 120])
def test_lines_fit_the_terminal_and_remedies_hang_below_what_was_found(options: dict[str, Any], columns: int) -> None:
    given = {**options, "s3_bucket_name": "gone", "batch_queue": "gone", "batch_job_role_name": "Gone"}
    done = CliRunner().invoke(main, ["doctor", *flags_of(given)], env={"COLUMNS": str(columns)})
    lines = done.stdout.splitlines()
    checks = lines[lines.index("") + 1 : -3]
    signs = ("✓ ", "✗ ", "– ")
    assert all(line.startswith((*signs, " " * 20)) for line in checks), done.stdout
    # A word may be longer than a line.
    assert all(len(line) <= columns or " " not in line[22:] for line in lines), done.stdout
    assert any("`aws s3 mb s3://gone --region us-east-1`" in line for line in lines), "a command stays whole"


def test_a_check_that_fails_itself_shows_no_exception_unless_asked(options: dict[str, Any]) -> None:
    settings = Settings(**{**DEFAULTS, **options})
    case = Case(settings, client(settings))
    (check,) = asyncio.run(made(case, "region", _fails))
    assert "the check itself failed, which is a fault of this program" in check.found
    assert "KeyError" not in check.found + check.fix
    assert "KeyError: 'lost'" in check.providers


async def _fails(_case: Any) -> Any:
    return {}["lost"]


def test_the_policy_asks_aws_for_the_account_unless_it_is_given(options: dict[str, Any]) -> None:
    asked = CliRunner().invoke(main, ["policy", "user", *flags_of(options)])
    given = CliRunner().invoke(main, ["policy", "user", *flags_of(options), "--account", "123456789012"])
    assert asked.exit_code == given.exit_code == 0
    assert asked.stdout == given.stdout
    assert "arn:aws:iam::123456789012:role/CovalentBatchJobRole" in asked.stdout
    assert "iam:GetRole" in CliRunner().invoke(main, ["policy", "user", "--doctor", "--example"]).stdout
