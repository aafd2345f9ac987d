"""A copy of the target made of hard links: quick, without room, and safe as long as files are replaced, never edited."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from paddle_bootstrap.install.receipt import replace_text


def prefix_of(target: Path) -> str:
    """How the names of this target's clones begin."""
    return f".{target.name}.paddle-bootstrap-"


def remove_leftovers(target: Path) -> None:
    """Delete clones that killed runs left beside the target. Only under the target's lock."""
    for leftover in target.parent.glob(prefix_of(target) + "*"):
        shutil.rmtree(leftover, ignore_errors=True)


def make(target: Path, clone: Path) -> None:
    """Link every file of ``target`` into ``clone``; directories are new, symbolic links are copied."""
    shutil.copytree(target, clone, symlinks=True, copy_function=_link)


def _link(source: str, destination: str) -> str:
    try:
        os.link(source, destination, follow_symlinks=False)
    except OSError:  # too many links, or a file system without them
        shutil.copy2(source, destination, follow_symlinks=False)
    return destination


def settle(clone: Path, target: Path, site_packages: Path) -> None:
    """Make what was written with the clone's path speak of the target's: shebangs, activation scripts, pyvenv.cfg."""
    rewritten = [path for path in _texts(clone) if _renamed(path, str(clone), str(target))]
    if rewritten:
        _correct_records(site_packages, {os.path.relpath(path, site_packages): path for path in rewritten})


def _texts(clone: Path) -> Iterator[Path]:
    yield clone / "pyvenv.cfg"
    for path in (clone / "bin").iterdir():
        if path.is_file() and not path.is_symlink():
            yield path


def _renamed(path: Path, old: str, new: str) -> bool:
    try:
        text = path.read_text(encoding="utf-8")
    except (UnicodeDecodeError, FileNotFoundError):
        return False  # a binary
    if old not in text:
        return False
    replace_text(path, text.replace(old, new), path.stat().st_mode & 0o7777)
    return True


def _correct_records(site_packages: Path, scripts: dict[str, Path]) -> None:
    """RECORD rows of rewritten scripts tell the new size and hash, or an uninstaller would call them modified."""
    for record in site_packages.glob("*.dist-info/RECORD"):
        text = record.read_text(encoding="utf-8")
        if not any(name in text for name in scripts):
            continue
        rows = [_row(scripts[row[0]], row) if row and row[0] in scripts else row for row in csv.reader(io.StringIO(text))]
        replace_text(record, _csv(rows))


def _row(path: Path, row: list[str]) -> list[str]:
    content = path.read_bytes()
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return [row[0], f"sha256={digest}", str(len(content))]


def _csv(rows: list[list[str]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


def give_to(tree: Path, uid: int, gid: int) -> None:
    """Let ``uid`` own everything that this process made in ``tree``; what others own stays theirs."""
    mine = os.geteuid()
    for folder, names, files in os.walk(tree):
        for name in (".", *names, *files):
            path = os.path.join(folder, name)  # noqa: PTH118
            if os.lstat(path).st_uid == mine:
                os.lchown(path, uid, gid)
