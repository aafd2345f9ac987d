"""Who we are to whom: credentials go to their own host and nowhere else; proxies, certificates, redirects."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from paddle_bootstrap.errors import NoMirrorServes
from paddle_bootstrap.fetch.patience import Terms
from paddle_bootstrap.mirrors.model import Mirror, mirror_at
from tests.fakes.mirror import FakeMirror, Fault, make_wheel
from tests.unit.fetch.conftest import Bring, Heard

WHEEL, DATA = make_wheel(size=5_000)
OTHER, _ = make_wheel("other", size=5_000)
NAME = WHEEL.filename
LOGIN = ("me", "s3cr:t/@é")
IN_URL = "me:s3cr%3At%2F%40%C3%A9@"


def locked(**more: object) -> FakeMirror:
    return FakeMirror({NAME: DATA}, login=LOGIN, **more)  # type: ignore[arg-type]


def with_login(mirror: FakeMirror) -> str:
    return mirror.url.replace("://", f"://{IN_URL}")


def test_credentials_from_the_address(bring: Bring, heard: Heard) -> None:
    with locked() as mirror:
        fetched = bring(WHEEL, with_login(mirror))
    assert all("Authorization" in request.headers for request in mirror.requests)
    assert "s3cr" not in heard.text + repr(fetched)


def test_credentials_appear_nowhere(bring: Bring, heard: Heard) -> None:
    with locked() as mirror:
        mirror.faults[NAME] = Fault(status=404)
        place = mirror_at(with_login(mirror), proxy="http://other:hush@127.0.0.1:9")
        with pytest.raises(NoMirrorServes) as caught:
            bring(WHEEL, place)
    shown = [repr(place), place.redacted, place.url, str(place.proxy), str(caught.value), *caught.value.tried]
    assert not any(secret in text for secret in ("s3cr", "hush") for text in [*shown, heard.text, caught.value.hint])
    with pytest.raises(TypeError):
        json.dumps(asdict(place))


def test_wrong_credentials(bring: Bring) -> None:
    with locked() as mirror, pytest.raises(NoMirrorServes) as caught:
        bring(WHEEL, mirror.url.replace("://", "://me:wrong@"))
    assert "HTTP 401 Unauthorized" in caught.value.tried[0]
    assert "wrong@" not in str(caught.value.tried)


def test_netrc(bring: Bring, environ: dict[str, str]) -> None:
    Path(environ["HOME"], ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
    with FakeMirror({NAME: DATA}, login=("me", "secret")) as mirror:
        assert bring(WHEEL, mirror.url).transfers[0].outcome == "fetched"


def test_netrc_elsewhere_and_default(bring: Bring, environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "rc").write_text("default login me password secret\n")
    environ["NETRC"] = str(tmp_path / "rc")
    with FakeMirror({NAME: DATA}, login=("me", "secret")) as mirror:
        assert bring(WHEEL, mirror.url).transfers[0].outcome == "fetched"


def test_a_broken_netrc_is_not_quoted(bring: Bring, environ: dict[str, str], heard: Heard) -> None:
    Path(environ["HOME"], ".netrc").write_text("machine 127.0.0.1\nsecretword\n")
    with FakeMirror({NAME: DATA}) as mirror:
        assert bring(WHEEL, mirror.url).transfers[0].outcome == "fetched"
    assert ".netrc: line" in heard.text
    assert "secretword" not in heard.text


def keyring(environ: dict[str, str], script: str) -> Path:
    log = Path(environ["HOME"]) / "asked"
    command = Path(environ["PATH"]) / "keyring"
    command.write_text(f'#!/bin/sh\necho "$@" >> {log}\n{script}\n')
    command.chmod(0o755)
    return log


def test_keyring_is_asked_after_a_401_only(bring: Bring, environ: dict[str, str]) -> None:
    log = keyring(environ, "printf 'me\\nsecret\\n'")
    with FakeMirror({NAME: DATA}) as public:
        bring(WHEEL, public.url)
    assert not log.exists()


def test_keyring_knows_user_and_password(bring: Bring, environ: dict[str, str]) -> None:
    log = keyring(environ, "printf 'me\\nsecret\\n'")
    with FakeMirror({NAME: DATA}, login=("me", "secret")) as mirror:
        assert bring(WHEEL, mirror.url).transfers[0].outcome == "fetched"
    assert log.read_text() == f"--mode creds get {mirror.url}\n"


def test_keyring_knows_the_host_of_a_user(bring: Bring, environ: dict[str, str]) -> None:
    log = keyring(environ, 'case "$2" in http*) exit 1;; *) echo secret;; esac')
    with FakeMirror({NAME: DATA}, login=("me", "secret")) as mirror:
        assert bring(WHEEL, mirror.url.replace("://", "://me@")).transfers[0].outcome == "fetched"
    assert log.read_text() == f"get {mirror.url} me\nget 127.0.0.1:{mirror.port} me\n"


def test_keyring_knows_nothing(bring: Bring, environ: dict[str, str]) -> None:
    keyring(environ, "exit 1")
    with locked() as mirror, pytest.raises(NoMirrorServes) as caught:
        bring(WHEEL, mirror.url)
    assert "HTTP 401" in caught.value.tried[0]


def named(mirror: FakeMirror, auth: str, user: str = "") -> Mirror:
    return mirror_at(mirror.url.replace("://", f"://{user}@") if user else mirror.url, auth=auth)


@pytest.mark.parametrize(
    ("value", "login"), [("me:s3cr:t", ("me", "s3cr:t")), ("s3cr-token\n", ("s3cr-token", ""))], ids=["login", "token"]
)
def test_auth_from_a_variable(
    bring: Bring, environ: dict[str, str], heard: Heard, value: str, login: tuple[str, str]
) -> None:
    environ["CORP"] = value
    with FakeMirror({NAME: DATA}, login=login) as mirror:
        fetched = bring(WHEEL, named(mirror, "env:CORP"))
    assert all("Authorization" in request.headers for request in mirror.requests)
    assert "s3cr" not in heard.text + repr(fetched) + repr(named(mirror, "env:CORP"))


def test_auth_from_netrc_and_of_the_user_in_the_address(bring: Bring, environ: dict[str, str]) -> None:
    Path(environ["HOME"], ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
    with FakeMirror({NAME: DATA}, login=("me", "secret")) as mirror:
        assert bring(WHEEL, named(mirror, "netrc", "me")).transfers[0].outcome == "fetched"


def test_auth_from_the_keyring_is_asked_once_and_before_the_mirror(bring: Bring, environ: dict[str, str]) -> None:
    log = keyring(environ, "printf 'me\\nsecret\\n'")
    with FakeMirror({NAME: DATA}, login=("me", "secret")) as mirror:
        assert bring(WHEEL, named(mirror, "keyring")).transfers[0].outcome == "fetched"
    assert all("Authorization" in request.headers for request in mirror.requests)
    assert log.read_text() == f"--mode creds get {mirror.url}\n"


@pytest.mark.parametrize(
    ("auth", "user", "reason"),
    [
        ("env:CORP", "", "auth = env:CORP, and that variable is not set"),
        ("netrc", "", ".netrc has no entry for 127.0.0.1"),
        ("netrc", "token", "has no entry for 127.0.0.1 and the user in its address"),
        ("keyring", "", "there is no keyring command on PATH"),
        ("keyring ", "", "the keyring knows no password of"),
    ],
)
def test_a_login_that_is_not_where_auth_says(
    bring: Bring, environ: dict[str, str], auth: str, user: str, reason: str
) -> None:
    """No other place is asked, and nobody without it."""
    if auth.endswith(" "):
        log = keyring(environ, "exit 1")
    if user:
        Path(environ["HOME"], ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
    with locked() as mirror, FakeMirror({NAME: DATA}) as fine:
        bring(WHEEL, named(mirror, auth.strip(), user), fine.url)
        with pytest.raises(NoMirrorServes) as caught:
            bring(OTHER, named(mirror, auth.strip(), user))
    assert reason in caught.value.tried[0]
    assert "token" not in str(caught.value.tried)
    assert mirror.requests == []
    if auth.endswith(" "):
        assert len(log.read_text().splitlines()) == 4  # address and host, once in each run


def test_auth_that_the_mirror_refuses_is_not_tried_from_elsewhere(bring: Bring, environ: dict[str, str]) -> None:
    environ["CORP"] = "me:old"
    log = keyring(environ, "printf 'me\\nsecret\\n'")
    with FakeMirror({NAME: DATA}, login=("me", "secret")) as mirror, pytest.raises(NoMirrorServes) as caught:
        bring(WHEEL, named(mirror, "env:CORP"))
    assert "HTTP 401" in caught.value.tried[0]
    assert not log.exists()


def test_auth_goes_to_its_own_host_alone(bring: Bring, environ: dict[str, str]) -> None:
    environ["CORP"] = ":".join(LOGIN)
    with FakeMirror({NAME: DATA}) as host, locked(files_at=f"{host.root}/files") as index:
        bring(WHEEL, named(index, "env:CORP"))
    assert "Authorization" in index.requests[0].headers
    assert "Authorization" not in host.requests[0].headers


def test_auth_is_not_for_a_host_without_a_certificate(bring: Bring, environ: dict[str, str], certificate: Path) -> None:
    environ["CORP"] = ":".join(LOGIN)
    with locked(tls=certificate) as mirror, pytest.raises(NoMirrorServes) as caught:
        bring(WHEEL, named(mirror, "env:CORP"), terms=Terms(trusted_hosts=("127.0.0.1",)))
    assert "a host of --trusted-host gets none" in caught.value.tried[0]
    assert mirror.requests == []


def test_a_redirect_to_another_host_drops_credentials(bring: Bring, environ: dict[str, str]) -> None:
    Path(environ["HOME"], ".netrc").write_text("default login me password secret\n")
    with FakeMirror({NAME: DATA}) as host, locked() as index:
        index.faults[NAME] = Fault(redirect=f"{host.root}/files/{NAME}")
        bring(WHEEL, with_login(index))
    assert all("Authorization" in request.headers for request in index.requests)
    assert ["Authorization" in request.headers for request in host.requests] == [False]


def test_links_to_another_host_get_no_credentials(bring: Bring) -> None:
    with FakeMirror({NAME: DATA}) as host, locked(files_at=f"{host.root}/files") as index:
        bring(WHEEL, with_login(index))
    assert "Authorization" not in host.requests[0].headers


def test_http_proxy(bring: Bring, environ: dict[str, str]) -> None:
    with FakeMirror({NAME: DATA}, proxy_login=("p", "q")) as proxy:
        environ["http_proxy"] = proxy.root.replace("://", "://p:q@")
        assert bring(WHEEL, "http://mirror.invalid/simple").transfers[0].outcome == "fetched"
    assert proxy.paths()[0] == "http://mirror.invalid/simple/demo/"
    assert proxy.requests[0].headers["Host"] == "mirror.invalid"


def test_no_proxy(bring: Bring, environ: dict[str, str]) -> None:
    environ.update(HTTP_PROXY="http://127.0.0.1:9", NO_PROXY="localhost,127.0.0.1")
    with FakeMirror({NAME: DATA}) as mirror:
        assert bring(WHEEL, mirror.url).transfers[0].outcome == "fetched"


@pytest.mark.parametrize(("proxy", "reason"), [("socks5://h:1", "socks5://"), ("http://127.0.0.1:9", "refused")])
def test_a_proxy_that_does_not_serve(bring: Bring, environ: dict[str, str], proxy: str, reason: str) -> None:
    environ["ALL_PROXY"] = proxy
    with pytest.raises(NoMirrorServes) as caught:
        bring(WHEEL, "http://mirror.invalid/simple")
    assert reason in caught.value.tried[0]


def test_the_proxy_of_the_settings(bring: Bring) -> None:
    with FakeMirror({NAME: DATA}, proxy_login=("p", "q")) as proxy:
        place = mirror_at("http://mirror.invalid/simple", proxy=f"p:q@127.0.0.1:{proxy.port}")
        assert bring(WHEEL, place).transfers[0].outcome == "fetched"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and its self-signed certificate for 127.0.0.1, in one file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=fake"
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / "key", "-out", folder / "certificate"]
    subprocess.run([openssl, *request.split(), *names], check=True, capture_output=True)
    both = folder / "both"
    both.write_bytes((folder / "key").read_bytes() + (folder / "certificate").read_bytes())
    return both


def test_an_unknown_certificate(bring: Bring, certificate: Path) -> None:
    with FakeMirror({NAME: DATA}, tls=certificate) as mirror, pytest.raises(NoMirrorServes) as caught:
        bring(WHEEL, mirror.url)
    assert "its certificate is not trusted" in caught.value.tried[0]
    assert mirror.requests == []


@pytest.mark.parametrize("how", ["settings", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_a_certificate_of_ones_own(bring: Bring, environ: dict[str, str], certificate: Path, how: str) -> None:
    with FakeMirror({NAME: DATA}, tls=certificate) as mirror:
        place = mirror_at(mirror.url, certificate=str(certificate) if how == "settings" else None)
        if how != "settings":
            environ[how] = str(certificate)
        assert bring(WHEEL, place).transfers[0].outcome == "fetched"


def test_a_certificate_file_that_is_not_there(bring: Bring, tmp_path: Path) -> None:
    with pytest.raises(NoMirrorServes) as caught:
        bring(WHEEL, mirror_at("https://127.0.0.1:9/simple", certificate=str(tmp_path / "ca.pem")))
    assert "ca.pem" in caught.value.tried[0]


def test_https_through_a_proxy(bring: Bring, environ: dict[str, str], certificate: Path) -> None:
    with (
        FakeMirror({}, proxy_login=("p", "q")) as proxy,
        FakeMirror({NAME: DATA}, tls=certificate) as mirror,
    ):
        environ.update(https_proxy=f"http://p:q@127.0.0.1:{proxy.port}", SSL_CERT_FILE=str(certificate))
        assert bring(WHEEL, mirror.url).transfers[0].outcome == "fetched"
        assert proxy.paths() == [f"CONNECT 127.0.0.1:{mirror.port}"]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="http.client of 3.10 leaves a refused tunnel to the collector")
def test_a_proxy_that_refuses_to_tunnel(bring: Bring, environ: dict[str, str]) -> None:
    with FakeMirror({}, proxy_login=("p", "q")) as proxy:
        environ["https_proxy"] = f"http://p:secret@127.0.0.1:{proxy.port}"
        with pytest.raises(NoMirrorServes) as caught:
            bring(WHEEL, "https://mirror.invalid/simple")
    assert "the proxy refused" in caught.value.tried[0]
    assert "secret" not in str(caught.value.tried)


def test_https_never_falls_back(bring: Bring, environ: dict[str, str], certificate: Path) -> None:
    environ["SSL_CERT_FILE"] = str(certificate)
    with FakeMirror({NAME: DATA}) as plain, FakeMirror({NAME: DATA}, tls=certificate) as mirror:
        mirror.faults[NAME] = Fault(redirect=f"{plain.root}/files/{NAME}")
        with pytest.raises(NoMirrorServes) as caught:
            bring(WHEEL, mirror.url)
        mirror.files_at = f"{plain.root}/files"
        with pytest.raises(NoMirrorServes):
            bring(WHEEL, mirror.url)
    assert "without encryption" in caught.value.tried[0]
    assert plain.requests == []


def test_plain_http_may_become_https(bring: Bring, environ: dict[str, str], certificate: Path) -> None:
    environ["SSL_CERT_FILE"] = str(certificate)
    with FakeMirror({NAME: DATA}, tls=certificate) as secure, FakeMirror({NAME: DATA}) as mirror:
        mirror.faults[NAME] = Fault(redirect=f"{secure.root}/files/{NAME}")
        assert bring(WHEEL, mirror.url).transfers[0].outcome == "fetched"
