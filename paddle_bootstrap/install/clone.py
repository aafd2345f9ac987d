"""A copy of the target made of hard links: quick, without room, and safe as long as files are replaced, never edited."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from paddle_bootstrap.digest import record_hash
from paddle_bootstrap.install import distributions, kept
from paddle_bootstrap.replacing import replace_file


def fresh_name(target: Path) -> Path:
    """A place beside ``target`` for a clone of it."""
    return kept.sibling(target, secrets.token_hex(4))


def leftovers(target: Path) -> list[Path]:
    """Clones that stand beside the target: of killed runs, or of one that is at work. Its kept state is none."""
    last = kept.read(target)
    return [path for path in kept.siblings(target) if path != last]


def remove_leftovers(target: Path) -> int:
    """Delete them; only under the target's lock. Returns how many there were."""
    found = leftovers(target)
    for path in found:
        remove(path)
    return len(found)


def remove(tree: Path) -> None:
    """Delete ``tree``, read-only folders included."""
    shutil.rmtree(tree, ignore_errors=True)
    if not tree.exists():
        return
    for folder, _, _ in os.walk(tree):
        os.chmod(folder, 0o700)  # noqa: PTH101
    shutil.rmtree(tree, ignore_errors=True)


def make(target: Path, clone: Path) -> None:
    """Link every file of ``target`` into ``clone``. Folders are new, with their mode and owner."""
    clone.mkdir(mode=0o700)
    with os.scandir(target) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                make(Path(entry.path), clone / entry.name)
            else:
                _link(entry.path, clone / entry.name)
    if os.geteuid() == 0:
        told = target.stat()
        os.chown(clone, told.st_uid, told.st_gid)
    shutil.copystat(target, clone)


def _link(source: str, destination: Path) -> None:
    try:
        os.link(source, destination, follow_symlinks=False)
    except OSError:  # too many links, or a file of somebody else's
        shutil.copy2(source, destination, follow_symlinks=False)


def settle(clone: Path, target: Path, site_packages: Path) -> None:
    """Make what was written with the clone's path speak of the target's: shebangs, activation scripts, pyvenv.cfg."""
    changes = _spellings(clone, target)
    rewritten = [path for path in _texts(clone) if _renamed(path, changes)]
    if rewritten:
        _correct_records(site_packages, {os.path.relpath(path, site_packages): path for path in rewritten})


def _spellings(clone: Path, target: Path) -> list[tuple[bytes, bytes]]:
    """The paths as they are, and as shells quote them inside single quotes."""
    plain = (os.fsencode(clone), os.fsencode(target))
    old, new = (path.replace(b"'", b"'\"'\"'") for path in plain)
    return [plain, (old, new)]


def _texts(clone: Path) -> Iterator[Path]:
    yield clone / "pyvenv.cfg"
    for path in (clone / "bin").iterdir():
        if path.is_file() and not path.is_symlink():
            yield path


def _renamed(path: Path, changes: list[tuple[bytes, bytes]]) -> bool:
    content = before = path.read_bytes()
    for old, new in changes:
        content = content.replace(old, new)
    if content == before:
        return False
    replace_file(path, content)
    return True


def _correct_records(site_packages: Path, scripts: dict[str, Path]) -> None:
    """RECORD rows of rewritten scripts tell the new size and hash, or an uninstaller would call them modified."""
    for distribution in distributions.present(site_packages).values():
        before = distributions.rows_if_any(distribution.record)
        after = [_row(scripts[row[0]], row[0]) if row[0] in scripts else row for row in before]
        if after != before:
            distributions.require_inside(distributions.env_of(site_packages), distribution.record)
            replace_file(distribution.record, distributions.text(after))


def _row(path: Path, name: str) -> list[str]:
    content = path.read_bytes()
    return [name, record_hash(content), str(len(content))]


def give_to(tree: Path, uid: int, gid: int) -> None:
    """Let ``uid`` own what this process made in ``tree``. A file with a second name was there before: it stays whose it is."""
    mine = os.geteuid()
    for folder, names, files in os.walk(tree):
        for name in (".", *names, *files):
            path = os.path.join(folder, name)  # noqa: PTH118
            told = os.lstat(path)
            if told.st_uid == mine and (stat.S_ISDIR(told.st_mode) or told.st_nlink == 1):
                os.lchown(path, uid, gid)
