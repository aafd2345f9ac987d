"""Writes a bundle: the same bytes for the same members and key."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from paddle_bootstrap import progress
from paddle_bootstrap.bundle.reading import (
    CHUNK,
    END,
    FIRST_LINES,
    FORMAT,
    HEAD,
    MANIFEST,
    SUM,
    padding,
    parsed,
    sum_of,
    tar_header,
)
from paddle_bootstrap.digest import sha256_of
from paddle_bootstrap.errors import InstallFailed, NoSpace

HERE = Path(__file__).parent
SMALLEST_PART = 1_000_000  # bytes; the head stands whole in the first part
MOST_PARTS = 999
Sign = Callable[[bytes], tuple[str, bytes]]  # manifest -> name and content of its signature


@dataclass(frozen=True)
class Part:
    """A member to be: its name in the bundle, and where its bytes are."""

    name: str
    content: Path | bytes

    def described(self) -> dict[str, Any]:
        """Its row in the manifest."""
        if isinstance(self.content, bytes):
            size, sha256 = len(self.content), hashlib.sha256(self.content).hexdigest()
        else:
            size, sha256 = self.content.stat().st_size, sha256_of(self.content)
        return {"name": self.name, "size": size, "sha256": sha256}

    def read(self) -> Iterator[bytes]:
        if isinstance(self.content, bytes):
            yield self.content
            return
        with self.content.open("rb") as file:
            yield from iter(lambda: file.read(CHUNK), b"")


def head() -> bytes:
    """The start script with the files that it runs, padded to its fixed size."""
    text = (HERE / "start.sh").read_bytes()
    for name in ("reading", "judging", "start"):
        text += f"#--- paddle_bootstrap.bundle.{name}\n".encode() + (HERE / f"{name}.py").read_bytes()
    assert text.startswith(FIRST_LINES)
    assert len(text) < HEAD
    return text + b"\n" * (HEAD - len(text))


def manifest(parts: Sequence[Part], facts: Mapping[str, Any]) -> bytes:
    """The manifest of ``parts``; ``facts`` is what else it says of them."""
    start = hashlib.sha256(head()).hexdigest()
    members = [part.described() for part in parts]
    text = json.dumps({"format": FORMAT, "head": start, **facts, "members": members}, indent=1, sort_keys=True) + "\n"
    parsed(text.encode(), "the new bundle")  # what would be refused there is refused here
    return text.encode()


def write(
    output: Path, parts: Sequence[Part], text: bytes, *, sign: Sign | None, split: int | None
) -> tuple[Path, ...]:
    """The bundle at ``output``, or its parts of at most ``split`` bytes at ``output``.001 and so on; returns the files.

    They get their names when all of it is written. Raises NoSpace, InstallFailed.
    """
    texts = [(MANIFEST, text), (SUM, sum_of(text)), *([sign(text)] if sign else [])]
    members = json.loads(text)["members"]
    total = HEAD + sum(len(content) + 1024 for _, content in texts) + sum(row["size"] + 1024 for row in members)
    with _explained(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        _require_room(output.parent, total)
        with _Output(output, split) as file:
            file.write(head())
            for name, content in texts:
                file.write(tar_header(name, len(content)) + content + padding(len(content)))
            for part, row in zip(parts, members, strict=True):
                progress.note(f"{part.name} ({progress.human_bytes(row['size'])})")
                file.write(tar_header(row["name"], row["size"]))
                for some in part.read():
                    file.write(some)
                file.write(padding(row["size"]))
            file.write(END)
            return file.finish()


def _require_room(folder: Path, total: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < total:
        needed, has = progress.human_bytes(total), progress.human_bytes(free)
        raise NoSpace(f"{folder} lacks room for the bundle: {needed} are needed, {has} are free",
                      hint="free some space, or name another disk with -o")  # fmt: skip


@contextmanager
def _explained(output: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        hint = "free some space, or name another place with -o"
        raise InstallFailed(f"cannot write {error.filename or output}: {error.strerror}", hint=hint) from error


class _Output:
    """One file, or as many as it takes; all of them partial until ``finish``."""

    def __init__(self, output: Path, split: int | None) -> None:
        self._output = output
        self._split = split
        self._partials: list[Path] = []
        self._file: IO[bytes] | None = None
        self._left = 0

    def __enter__(self) -> _Output:
        self._next()
        return self

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.close()
        for path in self._partials:
            path.unlink(missing_ok=True)

    def write(self, content: bytes) -> None:
        rest = memoryview(content)
        while rest:
            assert self._file
            here = len(rest) if self._split is None else min(len(rest), self._left)
            self._file.write(rest[:here])
            rest = rest[here:]
            self._left -= here
            if self._split is not None and not self._left and rest:
                self._next()

    def _next(self) -> None:
        self._close()
        number = len(self._partials) + 1
        if number > MOST_PARTS:
            raise InstallFailed(f"more than {MOST_PARTS} parts", hint="give --split a bigger size")
        path = self._output.with_name(f".{self._output.name}.{number:03}.partial")
        self._partials.append(path)
        self._file = path.open("wb")
        self._left = self._split or 0

    def _close(self) -> None:
        if self._file:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None

    def finish(self) -> tuple[Path, ...]:
        """Give the files their names; parts of an earlier bundle of this name go."""
        self._close()
        numbers = range(1, len(self._partials) + 1)
        names = [self._output.with_name(f"{self._output.name}.{number:03}") for number in numbers]
        done = names if self._split is not None else [self._output]
        for partial, path in zip(self._partials, done, strict=True):
            partial.replace(path)
        self._partials = []
        for other in self._output.parent.glob("*"):
            rest = other.name.removeprefix(self._output.name + ".")
            if rest != other.name and rest.isdigit() and len(rest) == 3 and other not in done:
                other.unlink()
        if self._split is not None:
            self._output.unlink(missing_ok=True)
        return tuple(done)
