"""Behind a company's proxy, which ends TLS with a certificate authority of its own."""

from __future__ import annotations

import base64
import datetime as dt
import ipaddress
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from support.probing import Probe
from support.servers import Answer, HttpServer, Request
from support.sts import answer, secret

HOST = "batch.invalid-host.test"
ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "ENV", "AWS_SECRET_ACCESS_KEY": secret("ENV")}


@dataclass(frozen=True)
class Authority:
    """A certificate authority of the test's own, and a server's side of TLS with a certificate of it."""

    pem: bytes
    server: ssl.SSLContext


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    def certificate(
        subject: str, key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey, authority: bool
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.timezone.utc)
        # 0.0.0.0 leads to this machine without being one of its loopback addresses.
        addresses = [ipaddress.ip_address(address) for address in ("127.0.0.1", "0.0.0.0")]
        names = [x509.DNSName(HOST), *map(x509.IPAddress, addresses)]
        builder = x509.CertificateBuilder(
            issuer_name=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "The Company's Authority")]),
            subject_name=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]),
            public_key=key.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=now - dt.timedelta(days=1),
            not_valid_after=now + dt.timedelta(days=1),
        )
        builder = builder.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        if not authority:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(signer, hashes.SHA256())

    root, leaf = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    pem = serialization.Encoding.PEM
    chain = tmp_path_factory.mktemp("tls") / "server.pem"
    chain.write_bytes(
        leaf.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate(HOST, leaf, root, authority=False).public_bytes(pem)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return Authority(certificate("The Company's Authority", root, root, authority=True).public_bytes(pem), context)


@pytest.fixture
def bundle(authority: Authority, tmp_path: Path) -> str:
    """Path of the company's bundle."""
    path = tmp_path / "bundle.pem"
    path.write_bytes(authority.pem)
    return str(path)


@pytest.fixture
def aws(authority: Authority) -> Iterator[HttpServer]:
    with HttpServer(answer, authority.server) as server:
        yield server


@pytest.fixture
def proxy(aws: HttpServer) -> Iterator[HttpServer]:
    """Leads every CONNECT to `aws`, and answers what is asked in plain HTTP itself."""
    with HttpServer(answer, tunnel_to=aws.port) as server:
        yield server


def succeeded(outcome: dict[str, Any]) -> bool:
    assert "identity" in outcome, outcome
    return bool(outcome["identity"]["UserId"] == "ENV")


def test_the_bundle_is_trusted(probe: Probe, aws: HttpServer, bundle: str) -> None:
    assert succeeded(probe({**ENVIRONMENT, "AWS_CA_BUNDLE": bundle}, endpoint_url=aws.url))


def test_the_bundle_may_hold_several_certificates_and_comments(
    probe: Probe, aws: HttpServer, authority: Authority, tmp_path: Path
) -> None:
    path = tmp_path / "several.pem"
    path.write_bytes(b"# the company's\n" + authority.pem + b"\n# once more\n" + authority.pem)
    assert succeeded(probe({**ENVIRONMENT, "AWS_CA_BUNDLE": str(path)}, endpoint_url=aws.url))


def test_servers_that_cannot_be_trusted_or_reached(probe: Probe, aws: HttpServer) -> None:
    """No bundle, no tunnel, a page to sign in, a name that nobody knows, a port on which nobody listens.

    All at once, since the SDK tries for some seconds.
    """
    with HttpServer(lambda _: Answer()) as gone:
        nobody = gone.url
    sign_in = Answer(status=302, headers={"Location": "http://me:opensesame@wifi.example/login"})
    with HttpServer(lambda _: Answer()) as proxy, HttpServer(lambda _: sign_in) as wifi:
        proxy_url = proxy.url.replace("http://", "http://me:opensesame@")
        environment = {**ENVIRONMENT, "HTTPS_PROXY": proxy_url, "NO_PROXY": "0.0.0.0"}
        endpoints = [f"https://0.0.0.0:{aws.port}", f"https://{HOST}", wifi.url, f"http://{HOST}", nobody]
        outcomes = probe.together(environment, *({"endpoint_url": url} for url in endpoints))
    for outcome in outcomes:
        assert outcome["error"] == "ServiceError", outcome
        assert "\n" not in outcome["message"]
        assert "opensesame" not in str(outcome)
    distrusted, unreached, redirected, unknown, refused = (outcome["message"] for outcome in outcomes)
    assert f"0.0.0.0:{aws.port} was asked" in distrusted
    assert "certificate" in distrusted
    assert f"{HOST} through the proxy 127.0.0.1:{proxy.port} was asked" in unreached
    assert "tunnel" in unreached
    assert f"127.0.0.1:{wifi.port} was asked, the answer has the status 302, it leads to wifi.example" in redirected
    assert f"{HOST} was asked" in unknown
    assert f"{nobody.removeprefix('http://')} was asked" in refused
    assert "refused" in refused
    assert aws.requests == []
    assert {request.method for request in proxy.requests} == {"CONNECT"}


NO_PEM = b"this is no certificate"
BROKEN_PEM = b"-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n"
NO_CERTIFICATE = base64.b64encode(b"these bytes are no certificate").join(
    [b"-----BEGIN CERTIFICATE-----\n", b"\n-----END CERTIFICATE-----\n"]
)


@pytest.mark.parametrize("content", [None, b"", NO_PEM, BROKEN_PEM, NO_CERTIFICATE])
def test_a_bundle_that_is_none(probe: Probe, aws: HttpServer, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "bundle.pem"
    if content is not None:
        path.write_bytes(content)
    outcome = probe({**ENVIRONMENT, "AWS_CA_BUNDLE": str(path)}, endpoint_url=aws.url)
    assert outcome["error"] == "SettingsError", outcome
    assert "AWS_CA_BUNDLE" in outcome["message"]
    assert str(path) in outcome["message"]
    assert "\n" not in outcome["message"]


def test_an_empty_variable_is_none(probe: Probe) -> None:
    with HttpServer(answer) as plain:
        assert succeeded(probe({**ENVIRONMENT, "AWS_CA_BUNDLE": ""}, endpoint_url=plain.url))


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
def test_through_the_proxy(probe: Probe, aws: HttpServer, proxy: HttpServer, bundle: str, variable: str) -> None:
    environment = {**ENVIRONMENT, "AWS_CA_BUNDLE": bundle, variable: proxy.url}
    assert succeeded(probe(environment, endpoint_url=f"https://{HOST}"))
    assert [(request.method, request.path) for request in proxy.requests] == [("CONNECT", f"{HOST}:443")]
    assert [request.access_key for request in aws.requests] == ["ENV"]


def test_a_proxy_that_wants_a_password(probe: Probe, aws: HttpServer, proxy: HttpServer, bundle: str) -> None:
    url = proxy.url.replace("http://", "http://me:opensesame@")
    outcome = probe({**ENVIRONMENT, "AWS_CA_BUNDLE": bundle, "HTTPS_PROXY": url}, endpoint_url=f"https://{HOST}")
    assert succeeded(outcome)
    expected = base64.b64encode(b"me:opensesame").decode()
    assert proxy.requests[0].headers["proxy-authorization"] == f"Basic {expected}"
    assert "proxy-authorization" not in aws.requests[0].headers
    assert "opensesame" not in "".join(outcome["records"])


def test_a_plain_endpoint_through_the_proxy(probe: Probe, proxy: HttpServer) -> None:
    assert succeeded(probe({**ENVIRONMENT, "HTTP_PROXY": proxy.url}, endpoint_url=f"http://{HOST}"))
    assert [(request.method, request.path) for request in proxy.requests] == [("POST", f"http://{HOST}/")]


@pytest.mark.parametrize("variable", ["NO_PROXY", "no_proxy"])
def test_around_the_proxy(probe: Probe, aws: HttpServer, proxy: HttpServer, bundle: str, variable: str) -> None:
    environment = {**ENVIRONMENT, "AWS_CA_BUNDLE": bundle, "HTTPS_PROXY": proxy.url}
    endpoint = f"https://0.0.0.0:{aws.port}"
    assert succeeded(probe(environment, endpoint_url=endpoint))
    assert len(proxy.requests) == 1
    assert succeeded(probe({**environment, variable: "example.com,0.0.0.0"}, endpoint_url=endpoint))
    assert (len(proxy.requests), len(aws.requests)) == (1, 2)


def test_this_machine_is_never_reached_through_a_proxy(probe: Probe, proxy: HttpServer) -> None:
    proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), proxy.url)
    with HttpServer(answer) as plain:
        assert succeeded(probe({**ENVIRONMENT, **proxies}, endpoint_url=plain.url))
        by_name = plain.url.replace("127.0.0.1", "localhost")
        assert succeeded(probe({**ENVIRONMENT, **proxies}, endpoint_url=by_name))
        assert succeeded(probe({**ENVIRONMENT, **proxies, "AWS_ENDPOINT_URL": plain.url}))
        assert succeeded(probe({**ENVIRONMENT, **proxies, "AWS_ENDPOINT_URL_STS": plain.url}))
    assert proxy.requests == []


def test_a_containers_credentials_do_not_pass_the_proxy(probe: Probe, aws: HttpServer, bundle: str) -> None:
    """The agent that gives them is on the same machine, and the endpoint is not."""
    asked: list[Request] = []

    def refuse(request: Request) -> Answer:
        asked.append(request)
        return Answer(status=502)

    with HttpServer(answer) as agent, HttpServer(refuse, tunnel_to=aws.port) as proxy:
        environment = {
            "AWS_CA_BUNDLE": bundle,
            "HTTP_PROXY": proxy.url,
            "HTTPS_PROXY": proxy.url,
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{agent.url}/container",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": "container-secret",
        }
        outcome = probe(environment, endpoint_url=f"https://{HOST}")
    assert asked == []
    assert outcome["identity"]["UserId"] == "CONTAINER", outcome
