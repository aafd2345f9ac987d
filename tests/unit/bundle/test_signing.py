"""With a key configured, only what somebody named there signed is read any further."""

from __future__ import annotations

import shutil
import subprocess
from functools import partial
from pathlib import Path

import pytest

from paddle_bootstrap.bundle import signing, start
from paddle_bootstrap.bundle.judging import require_signed
from paddle_bootstrap.bundle.opening import opened, verify
from paddle_bootstrap.bundle.reading import HEAD, MANIFEST, NAMESPACE, SSH, Bundle, Refused, sum_of
from paddle_bootstrap.errors import UsageError, WrongBytes
from tests.fakes import bundle
from tests.fakes.wheels import FakeWheel

needs_ssh = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return new_key(tmp_path / "key")


def new_key(path: Path) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path


def allow(path: Path, key: Path, who: str = "ops@example.com", options: str = "") -> Path:
    public = key.with_suffix(".pub").read_text()
    path.write_text(f"{who} {options} {public}")
    return path


@pytest.fixture
def signed(tmp_path: Path, key: Path, lock: Path, wheels: tuple[FakeWheel, ...]) -> Path:
    return bundle.make(tmp_path / "signed", lock, wheels, sign=partial(signing.sign, key=key))[0]


@needs_ssh
def test_signed_by_whom_we_trust(signed: Path, key: Path, tmp_path: Path) -> None:
    assert verify(signed, allow(tmp_path / "allowed", key)).signer == "ops@example.com"
    bound = allow(tmp_path / "bound", key, "a@example.com,b@example.com", f'namespaces="{NAMESPACE}"')
    assert opened(signed, bound).signer == "a@example.com"
    assert opened(signed, None).signer is None


@needs_ssh
def test_not_signed(whole: Path, key: Path, tmp_path: Path) -> None:
    with pytest.raises(WrongBytes, match=r"is not signed, but .*allowed asks for one"):
        opened(whole, allow(tmp_path / "allowed", key))


@needs_ssh
def test_signed_by_another(signed: Path, tmp_path: Path) -> None:
    other = allow(tmp_path / "allowed", new_key(tmp_path / "other"))
    with pytest.raises(WrongBytes, match=r"is not signed by anybody whom .*allowed names"):
        opened(signed, other)


@needs_ssh
def test_signed_for_something_else(key: Path, tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("text")
    subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-f", key, "-n", "git", text], check=True)
    signature = (SSH, (tmp_path / "text.sig").read_bytes())
    with pytest.raises(Refused, match="is not signed by anybody") as caught:
        require_signed(b"text", signature, allow(tmp_path / "allowed", key), "it")
    assert caught.value.code == 13


@needs_ssh
def test_a_changed_manifest_under_a_true_signature(signed: Path, key: Path, tmp_path: Path) -> None:
    with Bundle(signed) as found:
        old = found.text
    new = old.replace(b'"python": "3.11"', b'"python": "3.12"')
    changed = tmp_path / "changed"
    changed.write_bytes(signed.read_bytes().replace(old, new, 1).replace(sum_of(old), sum_of(new), 1))
    assert opened(changed, None).python == "3.12"
    with pytest.raises(WrongBytes, match="is not signed by anybody"):
        opened(changed, allow(tmp_path / "allowed", key))


@needs_ssh
def test_by_hand(signed: Path, key: Path, tmp_path: Path) -> None:
    """The commands in the head of every bundle."""
    allow(tmp_path / "ALLOWED", key)
    lines = [line[2:].split("     ")[0].strip() for line in signed.read_bytes()[:HEAD].decode().splitlines()[:8]]
    commands = [line for line in lines if line.startswith(("tail", "ssh-keygen", "head"))]
    assert len(commands) == 3
    (tmp_path / "FILE").symlink_to(signed)
    told = ""
    for command in commands:
        command = command.replace("WHO", "ops@example.com")
        done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        told = done.stdout
    assert f'"head": "{told.split()[0]}"' in (tmp_path / MANIFEST).read_text()


def test_keys_that_are_none(tmp_path: Path, whole: Path) -> None:
    with pytest.raises(UsageError, match=r"the signing key .*none: No such file"):
        signing.sign(b"", tmp_path / "none")
    with pytest.raises(UsageError, match=r"the file of allowed signers .*none: No such file"):
        opened(whole, tmp_path / "none")


@needs_ssh
def test_a_public_key_does_not_sign(key: Path) -> None:
    key.unlink()
    with pytest.raises(UsageError, match=r"ssh-keygen did not sign with .*key\.pub"):
        signing.sign(b"", key.with_suffix(".pub"))


def test_without_the_program_nothing_is_trusted(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    allowed = tmp_path / "allowed"
    allowed.write_text("ops@example.com ssh-ed25519 AAAA\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Refused, match="ssh-keygen is not here to judge the signature") as caught:
        require_signed(b"", (SSH, b""), allowed, "it")
    assert caught.value.code == 2


@pytest.mark.skipif(shutil.which("minisign") is None, reason="minisign is not installed")
def test_minisign(tmp_path: Path, lock: Path, wheels: tuple[FakeWheel, ...]) -> None:
    secret, public = tmp_path / "secret", tmp_path / "public"
    subprocess.run(["minisign", "-G", "-W", "-p", public, "-s", secret], check=True, capture_output=True)
    made = bundle.make(tmp_path / "signed", lock, wheels, sign=partial(signing.sign, key=secret))[0]
    assert verify(made, public).signer == "public"
    subprocess.run(["minisign", "-G", "-f", "-W", "-p", public, "-s", secret], check=True, capture_output=True)
    with pytest.raises(WrongBytes, match="is not signed by anybody"):
        opened(made, public)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('[bundle]\nallowed-signers = "keys"  # ours\n', "keys"),
        ("[bundle]\nsign-key = 'k'\n  allowed-signers='keys'\n", "keys"),
        ('bundle.allowed-signers = "sub/keys"\n', "sub/keys"),
        ('device = "cpu"\n# allowed-signers = "keys"\n', None),
    ],
)
def test_settings_as_the_start_script_reads_them(
    text: str, name: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    user = tmp_path / "home" / "paddle-bootstrap"
    user.mkdir(parents=True)
    (user / "paddle-bootstrap.toml").write_text(text)
    environ = {"XDG_CONFIG_HOME": str(tmp_path / "home")}
    assert start.configured_signers(environ) == (user / name if name else None)
    assert start.configured_signers({**environ, "PADDLE_BOOTSTRAP_ALLOWED_SIGNERS": "mine"}) == Path("mine")


def test_a_setting_that_cannot_be_read_there(tmp_path: Path) -> None:
    settings = tmp_path / "mine.toml"
    settings.write_text('[bundle]\nallowed-signers = """keys"""\n')
    with pytest.raises(Refused, match="allowed-signers cannot be read here"):
        start.configured_signers({"PADDLE_BOOTSTRAP_CONFIG": str(settings)})
