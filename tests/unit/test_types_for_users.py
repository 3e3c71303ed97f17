"""What a type checker, and so an editor, tells people who use the executor: run on a file such as they write."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("basedpyright")

# A comment is what the checker has to say of a line: the type that it reveals, or the rule that is broken. Of the other
# lines it has nothing to say.
FILE = """\
from pathlib import Path

from covalent_awsbatch_plugin import AWSBatchExecutor, explain, watch

executor = AWSBatchExecutor(vcpu=2, memory=3.75, time_limit=300, retry_on="infrastructure", tags={"team": "blue"})
AWSBatchExecutor("credentials", "profile", "eu-west-1", credentials_file=None)
AWSBatchExecutor(credentials=Path("credentials"), cache_dir=Path("/tmp"), platform="FARGATE", s3_cleanup=None)
executor.platform = "EC2"

reveal_type(executor)  # AWSBatchExecutor
reveal_type(executor.retry_on)  # Literal['any', 'infrastructure']
reveal_type(executor.vcpu)  # float
reveal_type(executor.num_gpus)  # int
reveal_type(executor.assign_public_ip)  # bool
reveal_type(executor.environment)  # dict[str, str]
reveal_type(executor.credentials)  # str
reveal_type(watch)  # (dispatch_id: str) -> None
reveal_type(explain("3f2a").failures[0].next)  # tuple[str, ...]

AWSBatchExecutor(retry_on="infra")  # reportArgumentType
AWSBatchExecutor(s3_cleanup="sometimes")  # reportArgumentType
AWSBatchExecutor(platform="fargate")  # reportArgumentType
AWSBatchExecutor(runtime="docker")  # reportArgumentType
AWSBatchExecutor(on_server_stop="stop")  # reportArgumentType
AWSBatchExecutor(assign_public_ip="no")  # reportArgumentType
AWSBatchExecutor(vcpu="four")  # reportArgumentType
AWSBatchExecutor(tags=["team"])  # reportArgumentType
AWSBatchExecutor("", "", "", "", "", "", "", "", 2, 4, 0, 3, 300, 10, "", "", "a seventeenth")  # reportCallIssue
executor.platform = "Fargate"  # reportAttributeAccessIssue
executor.runtime = "docker"  # reportAttributeAccessIssue
executor.vcpus  # reportAttributeAccessIssue
watch(3)  # reportArgumentType
"""


def test_a_checker_knows_the_options(tmp_path: Path) -> None:
    (tmp_path / "pyrightconfig.json").write_text('{"typeCheckingMode": "standard"}', encoding="utf-8")
    (tmp_path / "workflow.py").write_text(FILE, encoding="utf-8")
    command = [sys.executable, "-m", "basedpyright", "--pythonpath", sys.executable, "--outputjson"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=200)
    said = {
        found["range"]["start"]["line"]: found.get("rule") or re.sub(r'.* is "(.*)"', r"\1", found["message"])
        for found in json.loads(done.stdout)["generalDiagnostics"]
    }
    lines = FILE.splitlines()
    assert said == {number: line.split("  # ")[1] for number, line in enumerate(lines) if "  # " in line}
