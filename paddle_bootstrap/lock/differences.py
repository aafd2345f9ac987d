"""What one lock has that another has not, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict

from paddle_bootstrap.lock import pylock
from paddle_bootstrap.lock.model import Lock, Wheel

_BUILD = {  # field of Build -> how it is told
    "id": "build",
    "cuda": "CUDA",
    "cudnn_runtime": "cuDNN",
    "min_driver": "oldest driver",
    "toolkit_driver": "the toolkit's own driver",
    "sass": "machine code for",
    "glibc": "oldest glibc",
    "glibcxx": "oldest GLIBCXX",
    "libraries": "CUDA libraries",
}
Packages = Mapping[str, Mapping[str, Mapping[str, Wheel]]]  # name -> version -> file name -> its row


def differences(old: Lock, new: Lock) -> tuple[str, ...]:
    """Every difference that matters, the build first; nothing for locks that install the same."""
    return (
        *_of_build(old, new),
        *_of_pythons(old, new),
        *_of_packages(_packages(old), _packages(new)),
        *_of_origin(old, new),
    )


def _of_build(old: Lock, new: Lock) -> Iterator[str]:
    before = asdict(old.build) if old.build else {}
    after = asdict(new.build) if new.build else {}
    for field, told in _BUILD.items():
        if before.get(field) != after.get(field):
            yield f"{told}: {_shown(before.get(field))} becomes {_shown(after.get(field))}"
    if old.extra != new.extra:
        yield f"asked for beside Paddle: {_shown(old.extra)} becomes {_shown(new.extra)}"


def _of_pythons(old: Lock, new: Lock) -> Iterator[str]:
    before, after = pylock.pythons(old), pylock.pythons(new)
    if before != after:
        yield f"Pythons: {_shown(before)} becomes {_shown(after)}"


def _of_packages(before: Packages, after: Packages) -> Iterator[str]:
    for name in sorted({*before, *after}):
        was, now = before.get(name), after.get(name)
        if was is None or now is None:
            yield f"{name} {' and '.join(now or was or {})} {'comes' if now else 'goes'}"
        elif set(was) != set(now):
            yield f"{name} {' and '.join(was)} {'become' if len(was) > 1 else 'becomes'} {' and '.join(now)}"
        else:
            yield from _of_files(name, was, now)


def _of_files(
    name: str, was: Mapping[str, Mapping[str, Wheel]], now: Mapping[str, Mapping[str, Wheel]]
) -> Iterator[str]:
    """The versions are the same; their files need not be."""
    for version, files in was.items():
        others = now[version]
        for file in sorted({*files, *others}):
            if file not in others or file not in files:
                yield f"{name} {version}: {file} {'comes' if file in others else 'goes'}"
            elif files[file].sha256 != others[file].sha256:
                yield f"{name} {version}: {file} has OTHER BYTES: {files[file].sha256} becomes {others[file].sha256}"


def _of_origin(old: Lock, new: Lock) -> Iterator[str]:
    before = {row.file: (row.how, row.source) for row in old.learned}
    after = {row.file: (row.how, row.source) for row in new.learned}
    held = {file for versions in _packages(new).values() for files in versions.values() for file in files}
    for file in sorted(({*before, *after}) & held):
        if before.get(file) != after.get(file):
            yield f"digest of {file}: {_origin(before.get(file))} becomes {_origin(after.get(file))}"


def _origin(row: tuple[str, str] | None) -> str:
    if row is None:
        return "not told"
    return f"first use, from {row[1]}" if row[0] == "first use" else f"recorded by {row[1]}"


def _packages(lock: Lock) -> Packages:
    found: dict[str, dict[str, dict[str, Wheel]]] = {}
    for package in pylock.packages(lock):
        files = found.setdefault(package.name, {}).setdefault(package.version or "?", {})
        files.update({wheel.filename: wheel for wheel in package.wheels})
    return found


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return "by links" if value.get("link") else "as dependencies"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)
