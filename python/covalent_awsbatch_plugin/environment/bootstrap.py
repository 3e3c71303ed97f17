"""What a job runs first in an image that has nothing but Python: it fetches the core, which unpacks the rest.

`program` makes one text of this file, which stands in the job definition. So it uses the standard library alone, in the
syntax of Python 3.8 (to say that this is too old), and has to stay small. What it prints ends up in the job's log.
"""

import hashlib
import hmac
import json
import os
import runpy
import sys
import tempfile
import time
import typing
import urllib.request as web
from concurrent.futures import ThreadPoolExecutor


def env(name: str) -> str:
    """A variable; empty if there is none."""
    return os.environ.get(name, "")


def fail(why: object) -> typing.NoReturn:
    """Ends the job, with a reason in its log."""
    sys.exit(f"This job's environment cannot be used: {why}")


def keys() -> tuple[str, str, str]:
    """The container's own, of its variables or of its role: access key, secret key, session token."""
    if env("AWS_ACCESS_KEY_ID"):
        return env("AWS_ACCESS_KEY_ID"), env("AWS_SECRET_ACCESS_KEY"), env("AWS_SESSION_TOKEN")
    if pod := of_pod():
        return pod
    if not (path := env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")):
        fail("no credentials. Has the job a job role?")
    found = json.load(web.urlopen(f"http://169.254.170.2{path}", timeout=10))
    return found["AccessKeyId"], found["SecretAccessKey"], found["Token"]


def of_pod() -> "tuple[str, str, str] | None":
    """Those of a pod's service account, by EKS Pod Identity or by its IAM role. `program` has this in pods alone."""

    def answer(request: "str | web.Request", content: "bytes | None" = None) -> bytes:
        try:
            with web.urlopen(request, content, timeout=10) as body:
                found: bytes = body.read()
                return found
        except web.HTTPError as error:
            text = error.read(500)
            # STS limits itself by 400, too: https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html and
            # https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
            if error.code >= 429 or b"Throttling" in text or b"IDPCommunication" in text:
                raise ConnectionError(f"{error.url} answers {error.code}: {text!r}") from None
            fail(f"no credentials: {error.url} answers {error.code}: {text!r}")

    if uri := env("AWS_CONTAINER_CREDENTIALS_FULL_URI"):
        with open(env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")) as file:
            request = web.Request(uri, headers={"authorization": file.read().strip()})
        found = json.loads(answer(request))
        return found["AccessKeyId"], found["SecretAccessKey"], found["Token"]
    if path := env("AWS_WEB_IDENTITY_TOKEN_FILE"):
        from urllib.parse import urlencode

        region = env("AWS_REGION")
        rest = f"{region}.amazonaws.com" + ".cn" * (region[:3] == "cn-")
        with open(path) as file:
            asked = {"RoleArn": env("AWS_ROLE_ARN"), "WebIdentityToken": file.read().strip()}
        asked.update(Action="AssumeRoleWithWebIdentity", Version="2011-06-15", RoleSessionName="covalent-awsbatch")
        sts = env("AWS_ENDPOINT_URL_STS") or env("AWS_ENDPOINT_URL") or f"https://sts.{rest}"
        text = answer(sts, urlencode(asked).encode()).decode()
        names = "AccessKeyId", "SecretAccessKey", "SessionToken"
        access, secret, token = (text.partition(f"<{name}>")[2].partition("<")[0] for name in names)
        return access, secret, token
    if env("KUBERNETES_SERVICE_HOST"):
        fail("no credentials. Has the pod's service account a role?")
    return None


def signed(key: str, region: str) -> web.Request:
    """A GET of an object, signed (Signature Version 4). Access points are reached by hosts of their own alone."""
    access, secret, token = keys()
    bucket = env("S3_BUCKET_NAME")
    host = f"{bucket}.s3"
    if bucket[:4] == "arn:":
        region, account, _, name = bucket.replace("/", ":").split(":")[3:]
        host = f"{name}-{account}.s3-accesspoint"
    rest = f"{region}.amazonaws.com" + ".cn" * (region[:3] == "cn-")
    url = f"https://{host}.{rest}/{key}"
    own = env("AWS_ENDPOINT_URL_S3") or env("AWS_ENDPOINT_URL")
    if own or "." in bucket:  # of which no certificate is
        url = (own or f"https://s3.{rest}") + f"/{bucket}/{key}"
    _, _, host, path = url.split("/", 3)
    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    lines = f"host:{host}\nx-amz-content-sha256:UNSIGNED-PAYLOAD\nx-amz-date:{now}\n"
    if owner := env("COVALENT_AWSBATCH_BUCKET_OWNER"):
        lines += f"x-amz-expected-bucket-owner:{owner}\n"
    if token:
        lines += f"x-amz-security-token:{token}\n"
    sent = dict(line.split(":", 1) for line in lines.split())
    names = ";".join(sent)
    digest = hashlib.sha256(f"GET\n/{path}\n\n{lines}\n{names}\nUNSIGNED-PAYLOAD".encode()).hexdigest()
    scope = f"{now[:8]}/{region}/s3/aws4_request"
    mac = f"AWS4{secret}".encode()
    for part in [*scope.split("/"), f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{digest}"]:
        mac = hmac.digest(mac, part.encode(), "sha256")
    sent["authorization"] = f"AWS4-HMAC-SHA256 Credential={access}/{scope},SignedHeaders={names},Signature={mac.hex()}"
    return web.Request(url, headers=sent)


def fetch(key: str, file: typing.IO[bytes]) -> None:
    """Writes an object to a file; its name says what it must contain."""
    region = env("AWS_REGION")
    for pause in range(6):
        time.sleep(pause)
        file.seek(0)
        sha256 = hashlib.sha256()
        try:
            with web.urlopen(signed(key, region), timeout=60) as got:
                while part := got.read(1 << 20):
                    sha256.update(part)
                    file.write(part)
            file.truncate()  # which writes what is buffered, too
            if sha256.hexdigest() in key:
                return
            why = "not what was uploaded"
            if pause and not got.length:  # twice, and all of it
                break
        except web.HTTPError as error:
            why = f"S3 answers {error.code}: {error.read(500)!r}"
            there = error.headers.get("x-amz-bucket-region", region)
            if there == region and error.code < 429:  # too many requests
                break
            region = there
        except Exception as error:  # noqa: BLE001  (also what answers in place of AWS is told by a sentence)
            why = str(error)
            if "Errno 28]" in why:  # no space left
                break
    fail(f"{key}: {why}")


def unpack(key: str, root: str, at: str) -> None:
    """Has the core unpack an object, which is fetched to a directory with room for it."""
    from covalent_awsbatch_plugin._core import unpack as by_core

    with tempfile.TemporaryFile(dir=at) as file:
        fetch(key, file)
        try:
            by_core(f"/proc/self/fd/{file.fileno()}", root)
        except OSError as error:
            raise OSError(f"{key}: {error}") from None


def place() -> str:
    """A new directory from which programs may run."""
    tried = [env("COVALENT_AWSBATCH_DIRECTORY") or "/opt", "/tmp", "/var/tmp"]
    for at in tried:
        try:
            if not os.statvfs(at).f_flag & os.ST_NOEXEC:
                return tempfile.mkdtemp(dir=at)
        except OSError:
            pass
    fail(f"no place to write and run in {tried}. Mount a volume")


def main() -> None:
    """Fetches the objects that the job names: the first is the core, which unpacks the others."""
    has = "{}.{}".format(*sys.version_info)
    asks = env("COVALENT_AWSBATCH_PYTHON")
    if has != asks:
        fail(f"the image has Python {has}, and its server has {asks}")
    root = place()
    site = f"{root}/opt/job/lib/python{has}/site-packages"
    own = site + "/covalent_awsbatch_plugin"
    try:
        core, *others = env("COVALENT_AWSBATCH_ENVIRONMENT").split()
        os.makedirs(own)
        open(own + "/__init__.py", "w").close()  # goes before a package of that name in the image
        with open(own + "/_core.abi3.so", "wb") as file:
            fetch(core, file)
        sys.path.insert(0, site)
        with ThreadPoolExecutor() as threads:
            list(threads.map(lambda key: unpack(key, root, root), others))
    except (OSError, ImportError) as error:
        fail(f"{root}: {error}")
    del sys.modules["covalent_awsbatch_plugin"]  # which has nothing but the core
    sys.path_importer_cache.clear()
    runpy.run_module("covalent_awsbatch_plugin.environment.unpack", {}, "__main__")


if __name__ == "__main__":
    main()
