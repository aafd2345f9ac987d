"""Who signed a bundle, and for which platform it is. It stands in the head of every bundle, so: Python 3.8, nothing else."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from paddle_bootstrap.bundle.reading import (
    MANIFEST,
    MINISIGN,
    NAMESPACE,
    SSH,
    USAGE,
    WRONG_BYTES,
    WRONG_PLATFORM,
    Refused,
)


def require_signed(text: bytes, signature: tuple[str, bytes] | None, allowed: Path, where: str) -> str:
    """Who signed ``text``, among those that the file ``allowed`` names. Raises Refused for anything else."""
    try:
        minisign = allowed.read_bytes().startswith(b"untrusted comment:")
    except OSError as error:
        raise Refused(USAGE, f"the file of allowed signers {allowed}: {error.strerror}", "check its path") from None
    wanted = MINISIGN if minisign else SSH
    if signature is None or signature[0] != wanted:
        what = "is not signed" if signature is None else f"has a signature of another kind ({signature[0]})"
        raise Refused(WRONG_BYTES, f"{where} {what}, but {allowed} asks for one", "take it from whom you trust, signed")
    with tempfile.TemporaryDirectory() as folder:
        paths = Path(folder, MANIFEST), Path(folder, wanted)
        paths[0].write_bytes(text)
        paths[1].write_bytes(signature[1])
        return _by_minisign(paths, allowed, where) if minisign else _by_ssh(paths, text, allowed, where)


def _by_minisign(paths: tuple[Path, Path], allowed: Path, where: str) -> str:
    done = ran(["minisign", "-V", "-q", "-p", str(allowed), "-x", str(paths[1]), "-m", str(paths[0])])
    if done.returncode:
        raise _unsigned(where, allowed, done)
    return allowed.name


def _by_ssh(paths: tuple[Path, Path], text: bytes, allowed: Path, where: str) -> str:
    common = ["-s", str(paths[1]), "-f", str(allowed)]
    found = ran(["ssh-keygen", "-Y", "find-principals", *common])
    who = found.stdout.decode("utf-8", "replace").strip().splitlines()
    if found.returncode or not who:
        raise _unsigned(where, allowed, found)
    name = who[0].split(",")[0]
    done = ran(["ssh-keygen", "-Y", "verify", "-n", NAMESPACE, "-I", name, *common], text)
    if done.returncode:
        raise _unsigned(where, allowed, done)
    return name


def _unsigned(where: str, allowed: Path, done: subprocess.CompletedProcess[bytes]) -> Refused:
    said = (done.stderr or done.stdout).decode("utf-8", "replace").strip().splitlines()
    why = f": {said[-1]}" if said else ""
    hint = "take the bundle from whom you trust; nothing of it was run"
    return Refused(WRONG_BYTES, f"{where} is not signed by anybody whom {allowed} names{why}", hint)


def ran(command: list[str], text: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run a signature program. Raises Refused when the host lacks it: what cannot be judged is not trusted."""
    program = shutil.which(command[0])
    if program is None:
        package = {"ssh-keygen": "openssh-client"}.get(command[0], command[0])
        raise Refused(USAGE, f"{command[0]} is not here to judge the signature", f"apt-get install {package}")
    return subprocess.run([program, *command[1:]], input=text, capture_output=True, check=False)


def require_platform(manifest: dict[str, Any], where: str) -> None:
    """Raises Refused on a host that cannot run what the bundle holds."""
    machine = os.uname().machine
    try:
        libc = os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (ValueError, OSError):
        libc = ""
    match = re.fullmatch(r"glibc (\d+)\.(\d+).*", libc)
    here = f"{machine}, {libc or 'no glibc'}"
    needs = f"{manifest['machine']}, glibc {manifest['glibc']} or newer"
    newer = match and (int(match.group(1)), int(match.group(2))) >= tuple(map(int, manifest["glibc"].split(".")))
    if machine != manifest["machine"] or not newer:
        raise Refused(WRONG_PLATFORM, f"{where} is for another platform: it needs {needs}; this host is {here}",
                      "make a bundle on a host like this one")  # fmt: skip
