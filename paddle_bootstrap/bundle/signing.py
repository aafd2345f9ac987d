"""Signs a manifest with the key that is configured: an SSH key, or one of minisign."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from shutil import which

from paddle_bootstrap.bundle.reading import MANIFEST, MINISIGN, NAMESPACE, SSH
from paddle_bootstrap.errors import UsageError


def sign(text: bytes, key: Path) -> tuple[str, bytes]:
    """Name and content of the signature of ``text``. The program may ask the terminal for a passphrase.

    Raises UsageError when there is no such key, no such program, or when it refuses.
    """
    try:
        minisign = key.read_bytes().startswith(b"untrusted comment:")
    except OSError as error:
        raise UsageError(f"the signing key {key}: {error.strerror}", hint="check the path of --sign-key") from error
    name = MINISIGN if minisign else SSH
    with tempfile.TemporaryDirectory() as folder:
        path, made = Path(folder, MANIFEST), Path(folder, name)
        path.write_bytes(text)
        ssh = ["ssh-keygen", "-Y", "sign", "-f", str(key), "-n", NAMESPACE, str(path)]
        _run(["minisign", "-S", "-s", str(key), "-m", str(path), "-x", str(made)] if minisign else ssh, key)
        return name, made.read_bytes()


def _run(command: list[str], key: Path) -> None:
    program = which(command[0])
    if program is None:
        raise UsageError(f"{command[0]} is not here to sign with {key}", hint="install it, or leave --sign-key out")
    done = subprocess.run([program, *command[1:]], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        raise UsageError(f"{command[0]} did not sign with {key}: {''.join(said)}", hint="is it a private key of yours?")
