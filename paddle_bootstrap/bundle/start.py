"""What ``sh FILE`` does: unpack beside, verify, make the tool's own environment without a network, run ``up --offline``.

It stands in the head of every bundle and runs on the host's python3 (3.8 and later); ``up`` then runs on the bundle's own
interpreter, or on a Python of the host that the tool supports.
"""

from __future__ import annotations

import argparse
import errno
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any, NoReturn

from paddle_bootstrap.bundle.judging import require_platform, require_signed
from paddle_bootstrap.bundle.reading import (
    DISK,
    MANIFEST,
    USAGE,
    WRONG_PLATFORM,
    Bundle,
    Refused,
    matches,
)

USAGE_TEXT = """usage: sh FILE [--into DIR] [--allowed-signers FILE] [up|install|fetch] [its arguments]

Unpacks the bundle into DIR (default: FILE.d beside it), verifies every byte, makes the tool's environment there and runs
`paddle-bootstrap up --offline DIR` with it (or the other verb). Needs no network. The target (default: ./.venv-paddle)
holds links into DIR's store where both are on one file system. With --allowed-signers nothing is unpacked unless somebody
named there signed it.
"""
VERBS = ("up", "install", "fetch")
STORE = "store"  # folder of the unpacked bundle that is a store
TOOL = "tool"
PYTHON = "python"
CHECKS = "checks"
_EXPANDED = 4  # an interpreter's archive, unpacked
_SETTINGS = "paddle-bootstrap.toml"
_SIGNERS = re.compile(r"""(?m)^\s*(?:bundle\s*\.\s*)?["']?allowed-signers["']?\s*=\s*(.*?)\s*(?:#.*)?$""")


def main(argv: list[str]) -> int:
    """``argv``: the bundle's own path, then what the user gave."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--into", type=Path)
    parser.add_argument("--allowed-signers", type=Path)
    parser.add_argument("--config", type=Path)
    options, arguments = parser.parse_known_args(argv[1:])
    if arguments[:1] in (["-h"], ["--help"]):
        sys.stdout.write(USAGE_TEXT)
        return 0
    if options.config:
        os.environ["PADDLE_BOOTSTRAP_CONFIG"] = str(options.config)  # for `up` too
    try:
        prepared = prepare(Path(argv[0]), options.into, options.allowed_signers or configured_signers(os.environ))
    except Refused as error:
        return told(error)
    except OSError as error:
        return told(explained(error))
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted: run the same command again to continue\n")
        return 130
    return run_up(prepared, arguments)


def explained(error: OSError) -> Refused:
    """What an error of the file system means."""
    said = f"{error.filename or 'the disk'}: {error.strerror}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Refused(DISK, f"no room: {said}", "free some space, or name a folder on another disk with --into")
    if error.errno in (errno.EROFS, errno.EIO):
        return Refused(DISK, said, "name a folder on another disk with --into")
    return Refused(USAGE, said, "check the path and its permissions, or name another folder with --into")


def told(error: Refused) -> int:
    sys.stderr.write(f"error: {error}\n" + (f"next:  {error.hint}\n" if error.hint else ""))
    return error.code


def say(text: str) -> None:
    sys.stderr.write(f"==> {text}\n")
    sys.stderr.flush()


def configured_signers(environ: Any) -> Path | None:
    """``allowed-signers`` of the variable or the settings files; read by hand, since Python 3.8 has no TOML."""
    given = environ.get("PADDLE_BOOTSTRAP_ALLOWED_SIGNERS")
    if given:
        return Path(given)
    home = Path(environ.get("HOME") or "/")
    user = Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "paddle-bootstrap"
    explicit = environ.get("PADDLE_BOOTSTRAP_CONFIG")
    places = (
        [Path(explicit)] if explicit else [Path(_SETTINGS), user / _SETTINGS, Path("/etc/paddle-bootstrap", _SETTINGS)]
    )
    for path in places:
        found = _SIGNERS.search(path.read_text(encoding="utf-8")) if path.is_file() else None
        if found:
            value = found.group(1)
            if len(value) < 3 or value[0] != value[-1] or value[0] not in "\"'" or set(value[1:-1]) & set("\"'\\"):
                hint = 'write allowed-signers = "FILE" on one line, or give --allowed-signers FILE'
                raise Refused(USAGE, f"{path}: allowed-signers cannot be read here: {value}", hint)
            return path.parent / os.path.expanduser(value[1:-1])  # noqa: PTH111 as the tool does
    return None


def prepare(path: Path, into: Path | None, allowed: Path | None) -> Path:
    """The bundle, verified and unpacked, with the tool's environment in it. Raises Refused."""
    with Bundle(path) as bundle:
        if allowed:
            who = require_signed(bundle.text, bundle.signature, allowed, str(path))
            say(f"signed by {who}")
            os.environ["PADDLE_BOOTSTRAP_ALLOWED_SIGNERS"] = str(allowed.absolute())
        require_platform(bundle.manifest, str(path))
        python = None if bundle.manifest["interpreter"] else host_python(bundle.manifest)
        name = re.sub(r"\.001$", "", path.name)
        folder = (into or path.with_name(name + ".d")).absolute()
        unpack(bundle, folder)
        manifest = bundle.manifest
    make_tool(folder, manifest, python or unpacked_interpreter(folder, folder / manifest["interpreter"]))
    return folder


def unpack(bundle: Bundle, folder: Path) -> None:
    """Every member in ``folder``; those that are there and right stay, so an interrupted run goes on."""
    own = folder / MANIFEST
    if folder.exists() and not folder.is_dir():
        raise Refused(USAGE, f"{folder} is a file", "name a folder with --into")
    if folder.is_dir() and any(folder.iterdir()) and not (own.is_file() and own.read_bytes() == bundle.text):
        raise Refused(USAGE, f"{folder} is there and holds something else", f"remove {folder}, or name another --into")
    if not own.is_file():
        require_room(bundle.manifest, folder)
    say(f"unpacking into {folder}")
    folder.mkdir(parents=True, exist_ok=True)
    if bundle.signature:
        (folder / bundle.signature[0]).write_bytes(bundle.signature[1])
    own.write_bytes(bundle.text)
    for member in bundle.members():
        place = folder / member["name"]
        if matches(place, member):
            bundle.skip(member)
        else:
            bundle.save(member, place)


def require_room(manifest: dict[str, Any], folder: Path) -> None:
    """Raises Refused before anything is written."""
    sizes = {member["name"]: member["size"] for member in manifest["members"]}
    needed = sum(sizes.values()) + _EXPANDED * sizes.get(manifest["interpreter"], 0)
    place = next(parent for parent in [folder, *folder.parents] if parent.exists())
    free = shutil.disk_usage(str(place)).free
    if free < needed:
        short = f"{folder} lacks room: {needed / 1e6:.0f} MB are needed, {free / 1e6:.0f} MB are free"
        raise Refused(DISK, short, "free some space, or name a folder on another disk with --into")


def host_python(manifest: dict[str, Any]) -> str:
    """A Python of the host that the bundle has the tool's wheels for. Raises Refused before anything is unpacked."""
    wanted = manifest["tool_pythons"]
    candidates = [sys.executable, *(f"python{minor}" for minor in reversed(wanted))]
    found = []
    for candidate in candidates:
        path = shutil.which(candidate) if candidate else None
        if path:
            version = version_of(path)
            if version in wanted:
                return path
            found.append(f"{version or 'no Python'}: {path}")
    raise Refused(
        WRONG_PLATFORM,
        f"the tool needs Python {' or '.join(wanted)}, and none is here (found {'; '.join(found) or 'none'})",
        "install one, or make the bundle with --interpreter ARCHIVE",
    )


def version_of(path: str) -> str | None:
    """``3.11``; None where it does not run."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run([path, "-I", "-c", code], capture_output=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode().strip()


def unpacked_interpreter(folder: Path, archive: Path) -> str:
    """The interpreter of ``archive``, unpacked beside it once; it gets its name when it is whole."""
    place = folder / PYTHON / "unpacked"
    if not place.is_dir():
        say(f"unpacking {archive.name}")
        partial = place.with_name("unpacking")
        shutil.rmtree(str(partial), ignore_errors=True)
        unpacked_archive(archive, partial)
        partial.rename(place)
    path = str(place / "python" / "bin" / "python3")
    if version_of(path) is None:
        raise Refused(
            WRONG_PLATFORM, f"the bundle's interpreter does not run here: {path}", "is its disk mounted noexec?"
        )
    return path


def unpacked_archive(archive: Path, place: Path) -> None:
    """The files of ``archive`` in ``place``; where Python can, those that would lead elsewhere are refused."""
    checked: Any = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    with tarfile.open(str(archive)) as file:
        file.extractall(str(place), **checked)  # noqa: S202 its bytes were verified


def make_tool(folder: Path, manifest: dict[str, Any], python: str) -> None:
    """The tool's environment, by the uv that is one of its wheels: the host's Python needs neither pip nor venv."""
    tool = folder / TOOL
    state = f"{manifest['head']} {python} {version_of(python)}"
    ready = tool / "ready"
    if ready.is_file() and ready.read_text() == state and version_of(tool_python(folder)):
        return
    say(f"making the tool's environment with {python}")
    uv = unpacked_uv(tool)
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("UV_", "PIP_", "PYTHON"))}
    environ.update(UV_NO_CONFIG="1", UV_PYTHON_DOWNLOADS="never", UV_OFFLINE="1", UV_NO_CACHE="1", NO_COLOR="1")
    environ.update(UV_LINK_MODE="copy")
    requirements = tool / f"requirements-{version_of(python)}.txt"
    places = ["--no-index", "--find-links", str(tool / "wheels"), "--require-hashes", "--python", tool_python(folder)]
    for command in (
        ["venv", "--clear", "--no-project", "--python", python, str(tool / "env")],
        ["pip", "install", *places, "--requirements", str(requirements)],
    ):
        done = subprocess.run([uv, "--quiet", *command], env=environ, stderr=subprocess.PIPE, check=False)
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip()[-1000:]
            raise Refused(
                DISK, f"the tool's environment could not be made: {said}", "is there room, and may it run programs?"
            )
    ready.write_text(state)


def tool_python(folder: Path) -> str:
    return str(folder / TOOL / "env" / "bin" / "python")


def unpacked_uv(tool: Path) -> str:
    wheel = next((tool / "wheels").glob("uv-*.whl"))
    path = tool / "uv"
    with zipfile.ZipFile(str(wheel)) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".data/scripts/uv"))
        with archive.open(name) as source, path.open("wb") as target:
            shutil.copyfileobj(source, target)
    path.chmod(0o755)
    return str(path)


def run_up(folder: Path, arguments: list[str]) -> NoReturn:
    """Become ``paddle-bootstrap up``, or the verb that comes first in ``arguments``."""
    verb = arguments.pop(0) if arguments[:1] and arguments[0] in VERBS else "up"
    os.environ.setdefault("PADDLE_BOOTSTRAP_STORE", str(folder / STORE))
    command = [tool_python(folder), "-I", "-m", "paddle_bootstrap", verb, "--offline", str(folder), *arguments]
    sys.stdout.flush()
    os.execv(command[0], command)  # noqa: S606
