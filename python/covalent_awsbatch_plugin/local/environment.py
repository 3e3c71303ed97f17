"""The environment variables of a job: its own, those of the service, and the necessary ones of the caller."""

from __future__ import annotations

import os
from collections.abc import Mapping

from covalent_awsbatch_plugin.agreement.naming import ENVIRONMENT, ENVIRONMENT_DIRECTORY

from .scratch import Scratch

_KEPT = {
    "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH",
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy",
}  # fmt: skip
_KEPT_PREFIXES = ("LC_", "SSL_", "PIP_", "UV_")
_KEPT_SUFFIXES = ("CA_BUNDLE",)
# These would redirect a job's installations out of its own virtual environment.
_DROPPED = {
    "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_PYTHON",
    "UV_TARGET", "UV_PREFIX", "UV_PYTHON", "UV_SYSTEM_PYTHON", "UV_PROJECT_ENVIRONMENT",
}  # fmt: skip
_REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")
_LOCALHOST = "127.0.0.1,localhost"


def job_environment(
    caller: Mapping[str, str],
    scratch: Scratch,
    aws: Mapping[str, str],
    job: Mapping[str, str],
    batch: Mapping[str, str],
) -> dict[str, str]:
    """Puts a job's environment together.

    Args:
        caller: The caller's own environment, of which only what a program needs to run at all is kept: path, language,
            certificates, proxies, package indexes.
        scratch: Where the job runs.
        aws: Credentials and endpoint. A region in it is left out: AWS Batch tells a container on EC2 none either.
        job: What the job definition and SubmitJob's overrides set; goes over everything before.
        batch: What AWS Batch itself sets; goes over everything.
    """
    environment = {name: value for name, value in caller.items() if _is_kept(name)}
    if any(name.lower().endswith("_proxy") for name in environment):
        # The embedded endpoint is on this machine; a proxy could not reach it.
        for name in ("NO_PROXY", "no_proxy"):
            kept = environment.get(name) or environment.get(name.swapcase()) or ""
            environment[name] = ",".join(filter(None, [kept, _LOCALHOST]))
    programs = scratch.plain if ENVIRONMENT in job else scratch.bin
    environment["PATH"] = os.pathsep.join(filter(None, [str(programs), caller.get("PATH", os.defpath)]))
    if programs == scratch.bin:
        environment["VIRTUAL_ENV"] = str(scratch.venv)
    environment["HOME"] = str(scratch.work)
    # Where the job's own environment is unpacked, so that it is gone with the attempt.
    environment[ENVIRONMENT_DIRECTORY] = str(scratch.root)
    # Shared by all attempts of a run: in HOME every attempt would download again.
    for name in ("PIP_CACHE_DIR", "UV_CACHE_DIR"):
        environment.setdefault(name, str(scratch.root.parent / name.lower()))
    environment["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    aws = {name: value for name, value in aws.items() if name not in _REGIONS}
    return {**environment, **aws, **job, **batch}


def _is_kept(name: str) -> bool:
    if name in _DROPPED or name.startswith("AWS_"):
        return False
    return name in _KEPT or name.startswith(_KEPT_PREFIXES) or name.endswith(_KEPT_SUFFIXES)
