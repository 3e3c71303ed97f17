"""What the doctor finds of a real Covalent server, asked where that runs."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest

from covalent_awsbatch_plugin.local.covalent_server import CovalentServer


def checks(environment: dict[str, str], python: str = sys.executable) -> dict[str, dict[str, Any]]:
    """The doctor's checks that need no AWS, by name. It asks an address where nobody listens, and only once."""
    command = [python, "-m", "covalent_awsbatch_plugin.cli", "doctor", "--json", "--endpoint-url", "http://127.0.0.1:9"]
    keys = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_MAX_ATTEMPTS": "1"}
    done = subprocess.run(
        command, env={**environment, **keys}, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120
    )
    assert done.returncode in (1, 2), done.stderr
    return {one["name"]: one for one in json.loads(done.stdout)["checks"]}


def test_a_server_is_found_with_its_configuration(covalent_server: CovalentServer) -> None:
    found = checks(covalent_server.environment)
    assert found["server"]["state"] == "well"
    assert f"answers at 127.0.0.1:{covalent_server.port} as process {covalent_server.pid}" in found["server"]["found"]
    assert found["configuration"]["state"] == "well"
    assert str(covalent_server.home) in found["configuration"]["found"]
    assert "Dask" not in found, "it was started without"


def test_another_configuration_than_the_servers_is_wrong(covalent_server: CovalentServer, tmp_path: Path) -> None:
    config = tmp_path / "covalent.conf"
    config.write_text(f'[dispatcher]\naddress = "localhost"\nport = {covalent_server.port}\n')
    environment = {**covalent_server.environment, "COVALENT_CONFIG_DIR": str(tmp_path)}
    found = checks(environment)["configuration"]
    assert found["state"] == "wrong"
    assert str(covalent_server.home) in found["found"]
    assert str(config) in found["found"]


def test_no_server_is_told_with_the_command_that_starts_one(covalent_server: CovalentServer, tmp_path: Path) -> None:
    (tmp_path / "covalent.conf").write_text('[dispatcher]\naddress = "localhost"\nport = 9\n')
    found = checks({**covalent_server.environment, "COVALENT_CONFIG_DIR": str(tmp_path)})["server"]
    assert found["state"] == "well"
    assert "none answers at localhost:9" in found["found"]
    assert "covalent start" in found["fix"]


def test_a_server_of_another_environment_is_wrong(covalent_server: CovalentServer, tmp_path: Path) -> None:
    other = tmp_path / "other"
    venv.create(other, with_pip=False, symlinks=True)
    site = next((other / "lib").glob("python3*")) / "site-packages"
    places = [place for place in sys.path if place and Path(place).is_dir()]
    (site / "seen.pth").write_text("\n".join(places) + "\n")
    found = checks(covalent_server.environment, str(other / "bin" / "python"))["server"]
    assert found["state"] == "wrong"
    assert f"runs in {sys.prefix}, and this command in {other}" in found["found"]


def test_a_version_of_fastapi_that_refuses_everything_is_wrong(tmp_path: Path, covalent_server: CovalentServer) -> None:
    for name, version in (("covalent", "0.240.0"), ("fastapi", "0.165.0")):
        place = tmp_path / f"{name}-{version}.dist-info"
        place.mkdir()
        (place / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    inherited = covalent_server.environment.get("PYTHONPATH", "")
    found = checks({**covalent_server.environment, "PYTHONPATH": f"{tmp_path}:{inherited}".rstrip(":")})["server"]
    assert found["state"] == "wrong"
    assert "refuses every dispatch with FastAPI 0.165.0 (it answers 422)" in found["found"]
    assert '"fastapi<0.132"' in found["fix"]


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"TMPDIR": "/dev/shm"}, "below /dev/shm, in memory"),
        ({"COVALENT_CACHE_DB_URL": "sqlite+pysqlite:////dev/shm/x.db"}, "below /dev/shm/x.db, in memory"),
        ({"COVALENT_CACHE_DB_URL": "postgresql+psycopg2://user:secret@host/db"}, "in postgresql+psycopg2"),
    ],
)
def test_where_the_counters_are(variables: dict[str, str], expected: str) -> None:
    from covalent_awsbatch_plugin.doctor.checks.server import Running, counters

    assert counters(Running(1, Path("/"), (), variables)).found.startswith(expected)
