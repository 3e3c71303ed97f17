"""What a job runs first in an image that has nothing but Python: it fetches its packages and becomes the runner.

`program` makes one text of this file, which stands in the job definition. So it uses the standard library alone, in the
syntax of Python 3.8 (to say that this is too old), and has to stay small. What it prints ends up in the job's log.
"""

import hashlib
import hmac
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
import typing
import urllib.request


def env(name: str) -> str:
    """A variable; empty if there is none."""
    return os.environ.get(name, "")


def failure(why: object) -> SystemExit:
    """What ends the job, with a reason in its log."""
    return SystemExit(f"This job's environment cannot be used: {why}")


def credentials() -> tuple[str, str, str]:
    """The container's own, of its variables or of its role: access key, secret key, session token."""
    if env("AWS_ACCESS_KEY_ID"):
        return env("AWS_ACCESS_KEY_ID"), env("AWS_SECRET_ACCESS_KEY"), env("AWS_SESSION_TOKEN")
    path = env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
    if not path:
        raise failure("no credentials. Has the job a job role?")
    with urllib.request.urlopen(f"http://169.254.170.2{path}", timeout=10) as answer:
        found = json.load(answer)
    return found["AccessKeyId"], found["SecretAccessKey"], found["Token"]


def signed(key: str, region: str) -> urllib.request.Request:
    """A GET of an object, signed (Signature Version 4)."""
    access, secret, token = credentials()
    china = ".cn" if region.startswith("cn-") else ""
    endpoint = env("AWS_ENDPOINT_URL_S3") or env("AWS_ENDPOINT_URL") or f"https://s3.{region}.amazonaws.com{china}"
    path = f"/{env('S3_BUCKET_NAME')}/{key}"
    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    body = "UNSIGNED-PAYLOAD"
    headers = {
        "host": endpoint.split("/")[2],
        "x-amz-content-sha256": body,
        "x-amz-date": now,
        "x-amz-expected-bucket-owner": env("COVALENT_AWSBATCH_BUCKET_OWNER"),
        "x-amz-security-token": token,
    }
    headers = {name: value for name, value in headers.items() if value}
    names = ";".join(headers)
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    canonical = f"GET\n{path}\n\n{lines}\n{names}\n{body}"
    scope = f"{now[:8]}/{region}/s3/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    mac = f"AWS4{secret}".encode()
    for part in [*scope.split("/"), f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{digest}"]:
        mac = hmac.digest(mac, part.encode(), "sha256")
    who = f"Credential={access}/{scope},SignedHeaders={names},Signature={mac.hex()}"
    headers["authorization"] = f"AWS4-HMAC-SHA256 {who}"
    return urllib.request.Request(endpoint + path, headers=headers)


def fetch(key: str, file: typing.IO[bytes]) -> None:
    """Writes an object to a file; its name says what it must contain."""
    region = env("AWS_REGION")
    for pause in range(6):
        time.sleep(pause)
        file.seek(0)
        sha256 = hashlib.sha256()
        try:
            with urllib.request.urlopen(signed(key, region), timeout=60) as answer:
                for piece in iter(lambda: answer.read(1 << 20), b""):
                    sha256.update(piece)
                    file.write(piece)
            file.truncate()
            if sha256.hexdigest() in key:
                return
            why = "not what was uploaded"
            if pause and not answer.length:  # twice, and all of it
                break
        except urllib.request.HTTPError as error:
            why = f"S3 answers {error.code}: {error.read(500)!r}"
            there = error.headers.get("x-amz-bucket-region", region)
            if there == region and error.code < 500:
                break
            region = there
        except (OSError, http.client.HTTPException) as error:
            why = str(error)
            if "Errno 28]" in why:  # no space left
                break
    raise failure(f"{key}: {why}")


def directory() -> str:
    """A new directory from which programs may run."""
    tried = [env("COVALENT_AWSBATCH_DIRECTORY") or "/opt", "/tmp", "/var/tmp"]
    for parent in tried:
        try:
            if not os.statvfs(parent).f_flag & os.ST_NOEXEC:
                return tempfile.mkdtemp(dir=parent)
        except OSError:
            pass
    raise failure(f"no place to write and run in {tried}. Mount a volume")


def main() -> None:
    """Makes the virtual environment of the objects that the job names, and goes on as the runner in it."""
    version = "{}.{}".format(*sys.version_info)
    wanted = env("COVALENT_AWSBATCH_PYTHON")
    if version != wanted:
        raise failure(f"the image has Python {version}, and its server has {wanted}")
    root = directory()
    prefix = root + "/opt/job"
    try:
        for key in env("COVALENT_AWSBATCH_ENVIRONMENT").split():
            with tempfile.TemporaryFile(dir=root) as file:
                fetch(key, file)
                file.seek(0)
                subprocess.run(["tar", "xzoC", root], stdin=file, check=True)
        python = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
        with open(f"{prefix}/pyvenv.cfg", "w") as file:
            file.write(f"home = {os.path.dirname(python)}\ninclude-system-site-packages = true\n")
        os.symlink(python, f"{prefix}/bin/python")
    except (OSError, subprocess.CalledProcessError) as error:
        raise failure(f"{prefix}: {error}") from None
    os.environ.update(VIRTUAL_ENV=prefix, PATH=f"{prefix}/bin:{env('PATH')}")
    os.execv(f"{prefix}/bin/python", ["python", "-m", "covalent_awsbatch_plugin.environment.unpack"])


if __name__ == "__main__":
    main()
