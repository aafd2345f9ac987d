"""A service is asked as a mirror is: its redirects, certificates and proxies are judged by the same rules."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from paddle_bootstrap.errors import CouldNotLook
from paddle_bootstrap.supply.service import CANARY, ask
from tests.fakes.certificate import self_signed
from tests.fakes.osv import FakeOsv
from tests.unit.supply.test_osv import UNTIL, record

ASTOR = ("astor", "0.9.0")
BATCH, ADVISORY = "/v1/querybatch", "/v1/vulns/PYSEC-7"


def fake(certificate: Path | None = None) -> FakeOsv:
    known = {CANARY: ["CANARY-1"], ASTOR: ["PYSEC-7"]}
    records = {"PYSEC-7": record("PYSEC-7", "astor", ranges=UNTIL)}
    return FakeOsv(known, {**records, "elsewhere": records["PYSEC-7"]}, certificate=certificate)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def plain() -> Iterator[FakeOsv]:
    with fake() as osv:
        yield osv


@pytest.fixture
def safe(certificate: Path) -> Iterator[FakeOsv]:
    with fake(certificate) as osv:
        yield osv


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_certificates_are_those_that_the_environment_names(safe: FakeOsv, certificate: Path, variable: str) -> None:
    assert [each.id for each in ask(safe.url, [ASTOR], {variable: str(certificate)}).advisories] == ["PYSEC-7"]
    with pytest.raises(CouldNotLook, match="its certificate is not trusted"):
        ask(safe.url, [ASTOR], {})


def test_the_proxy_is_the_one_that_the_environment_names(plain: FakeOsv) -> None:
    with pytest.raises(CouldNotLook, match="answers 404 to /v1/vulns/CANARY"):
        ask("http://osv.example", [CANARY], {"http_proxy": plain.url})
    assert plain.requests[0][0] == "http://osv.example/v1/querybatch"


def test_an_advisory_may_have_moved(plain: FakeOsv) -> None:
    """Also to another host, which gets no password."""
    with fake() as other:
        plain.moved = {ADVISORY: f"{other.url}/v1/vulns/elsewhere"}
        found = ask(plain.url.replace("//", "//me:secret@"), [ASTOR], {}).advisories
    assert [each.id for each in found] == ["PYSEC-7"]
    assert all("Authorization" in headers for _, headers in plain.requests)
    assert [(path, "Authorization" in headers) for path, headers in other.requests] == [("/v1/vulns/elsewhere", False)]


@pytest.mark.parametrize("path", [BATCH, ADVISORY])
def test_no_redirect_leaves_the_web(plain: FakeOsv, path: str) -> None:
    plain.moved = {path: "ftp://127.0.0.1:1/x"}
    with pytest.raises(CouldNotLook, match="not on the web" if path == ADVISORY else "redirects what it was sent"):
        ask(plain.url, [ASTOR], {})


@pytest.mark.parametrize("path", [BATCH, ADVISORY])
def test_no_redirect_gives_up_encryption(safe: FakeOsv, plain: FakeOsv, certificate: Path, path: str) -> None:
    safe.moved = {path: plain.url + path}
    words = "without encryption" if path == ADVISORY else "redirects what it was sent"
    with pytest.raises(CouldNotLook, match=words):
        ask(safe.url, [ASTOR], {"SSL_CERT_FILE": str(certificate)})
    assert plain.requests == []


def test_a_question_goes_to_no_other_host(plain: FakeOsv) -> None:
    """What somebody runs is nobody else's business."""
    with fake() as other:
        plain.moved = {BATCH: other.url + BATCH}
        with pytest.raises(CouldNotLook, match="redirects what it was sent"):
            ask(plain.url, [ASTOR], {})
    assert other.requests == []
