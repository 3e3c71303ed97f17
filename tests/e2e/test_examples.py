"""Each example runs on the embedded AWS by its one command, and its Terraform makes what it says."""

from __future__ import annotations

import asyncio
import io
import json
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support.documentation import blocks
from support.paths import ROOT
from support.terraform import install

from covalent_awsbatch_plugin.awsbatch import AWSBatchExecutor
from covalent_awsbatch_plugin.local import LocalAWS
from covalent_awsbatch_plugin.options.settings import OPTIONS

EXAMPLES = ROOT / "examples"
TIMEOUT = 280


def run(folder: Path, *arguments: str) -> list[str]:
    """What an example prints."""
    done = subprocess.run(
        [sys.executable, EXAMPLES / "embedded.py", folder, *arguments],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def test_every_example_is_told_of() -> None:
    told = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    folders = {path.parent.name for path in EXAMPLES.glob("*/workflow.*")}
    assert len(folders) == 9
    assert all(f"[{name}]({name})" in told and (EXAMPLES / name / "README.md").exists() for name in folders)


def test_the_model_is_the_one_of_the_page() -> None:
    """Which `test_documentation.py` runs."""
    script = (EXAMPLES / "svm/workflow.py").read_text(encoding="utf-8")
    assert script[script.index("import covalent as ct") :] == blocks("docs/getting-started.md", "python")[1]


def test_a_sweep_finds_a_low_point() -> None:
    """With 6 of its 100 starting points."""
    *_, found, jobs = run(EXAMPLES / "sweep", "6")
    assert found.startswith("lowest of 6: ")
    assert jobs.startswith("jobs: 7 SUCCEEDED;")


def test_a_training_falls_back_to_the_processor() -> None:
    shown = run(EXAMPLES / "gpu_training")
    assert "training on the processor (ModuleNotFoundError)" in shown
    assert float(shown[-2].removeprefix("told apart: ")) > 0.95


def test_three_nodes_find_the_same_slope() -> None:
    *_, found, jobs = run(EXAMPLES / "nodes")
    assert found == "slope: 1.50; the same on all 3 nodes: True"
    assert jobs.startswith("jobs: 1 SUCCEEDED;")


def test_movies_are_imported() -> None:
    assert "imported 3 movies" in run(EXAMPLES / "movie_import")


def test_a_training_goes_on_where_its_first_attempt_stopped() -> None:
    *_, attempt, found, jobs = run(EXAMPLES / "checkpoint", "30")
    assert attempt == "attempt 2 began at epoch 15 of 30"
    assert found.endswith(" after 30 epochs")
    assert jobs.startswith("jobs: 1 SUCCEEDED;")


def test_texts_are_read_from_the_directory_that_jobs_share() -> None:
    *_, found, jobs = run(EXAMPLES / "volumes")
    assert found == "most common: a 7, machine 4"
    assert jobs.startswith("jobs: 4 SUCCEEDED;")


def test_pods_draw_samples() -> None:
    *_, found, jobs = run(EXAMPLES / "pods")
    assert re.fullmatch(r"mean 5\.01; 95 of 100 between 4\.[5-8]\d and 5\.[2-5]\d", found)
    assert jobs.startswith("jobs: 5 SUCCEEDED;")


def test_the_pods_of_the_example_are_what_its_cluster_is_made_for() -> None:
    """Namespace and service account are the same everywhere, and AWS Batch may see the one and use the other."""
    folder = EXAMPLES / "pods"
    made = list(yaml.safe_load_all((folder / "cluster.yaml").read_text(encoding="utf-8")))
    kinds = {one["kind"]: one for one in made}
    assert len(kinds) == len(made)
    namespace, account = kinds["Namespace"]["metadata"]["name"], kinds["ServiceAccount"]["metadata"]
    assert {one["metadata"].get("namespace", namespace) for one in made} == {namespace}
    for role in ("Role", "ClusterRole"):
        binding = kinds[f"{role}Binding"]
        assert binding["roleRef"]["name"] == kinds[role]["metadata"]["name"]
        assert [subject["name"] for subject in binding["subjects"]] == ["aws-batch"]
    with LocalAWS() as aws:
        batch = aws.client("batch")
        section = runpy.run_path(str(folder / "prepare.py"))["prepare"](aws)
        [environment] = batch.describe_compute_environments(computeEnvironments=["pods"])["computeEnvironments"]
        assert environment["eksConfiguration"]["kubernetesNamespace"] == namespace
        given = runpy.run_path(str(folder / "workflow.py"))["executor"].to_dict()["attributes"]
        options = {name: given[name] for name in OPTIONS if name in given}
        executor = AWSBatchExecutor(**{**options, **aws.options, **section, "container_image_uri": "team/jobs:1"})
        executor._task_stdout, executor._task_stderr = io.StringIO(), io.StringIO()
        task = {"dispatch_id": "pods", "node_id": 0}
        assert asyncio.run(executor.run(max, [1, 2], {}, task)).get_deserialized() == 2
        [job] = batch.describe_jobs(jobs=[job.id for job in aws.jobs()])["jobs"]
        pod = job["eksProperties"]["podProperties"]
        assert pod["serviceAccountName"] == account["name"]
        assert pod["containers"][0]["resources"]["requests"] == {"cpu": "0.25"}


def outputs(notebook: Path) -> str:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return "\n".join(
        "".join(output.get("text") or output.get("data", {}).get("text/plain", []))
        for cell in cells
        for output in cell.get("outputs", ())
    )


def test_the_notebook_runs_and_says_what_it_said(tmp_path: Path) -> None:
    """What a seed draws is the same each time; only ids differ."""
    pytest.importorskip("nbclient")
    folder = tmp_path / "notebook"
    shutil.copytree(EXAMPLES / "notebook", folder)
    run(folder)
    was, found = (outputs(place / "workflow.ipynb") for place in (EXAMPLES / "notebook", folder))
    assert "seed 3: " in found
    assert "ZeroDivisionError" in found
    assert was.splitlines()[:5] == found.splitlines()[:5]


def test_the_import_has_its_bucket_its_table_and_its_rights(tmp_path: Path) -> None:
    """Terraform, on the embedded AWS; the schedule, which nobody asks for here, is only validated."""
    folder = tmp_path / "terraform"
    shutil.copytree(EXAMPLES / "movie_import/terraform", folder)
    with LocalAWS() as aws:
        (folder / "endpoint_override.tf").write_text(
            f"""
            provider "aws" {{
              s3_use_path_style           = true
              skip_requesting_account_id  = true
              skip_metadata_api_check     = true
              endpoints {{
                s3 = "{aws.endpoint_url}"
                iam = "{aws.endpoint_url}"
                dynamodb = "{aws.endpoint_url}"
                sts = "{aws.endpoint_url}"
              }}
            }}
            """,
            encoding="utf-8",
        )
        binaries = install(tmp_path, variables=aws.environment)
        common = ["-no-color", "-var=archive_bucket=archive", "-var=job_role=CovalentBatchJobRole"]
        for command in (
            ["init", "-no-color", "-input=false"],
            ["validate", "-no-color"],
            ["apply", "-auto-approve", "-input=false", *common],
        ):
            done = subprocess.run(
                [binaries / "terraform", *command], cwd=folder, capture_output=True, text=True, timeout=TIMEOUT
            )
            assert done.returncode == 0, done.stdout + done.stderr
        assert aws.client("dynamodb").describe_table(TableName="movies")["Table"]["KeySchema"][0]["KeyType"] == "HASH"
        assert aws.client("s3").head_bucket(Bucket="archive")
        policy = aws.client("iam").get_role_policy(RoleName="CovalentBatchJobRole", PolicyName="movie-import")
        allowed = [statement["Action"] for statement in policy["PolicyDocument"]["Statement"]]
        assert allowed == ["s3:GetObject", "dynamodb:BatchWriteItem"]
