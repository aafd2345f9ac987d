"""No byte of a bundle is free: what is cut, changed, foreign or for others is refused with its own exit code."""

from __future__ import annotations

import io
import random
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from paddle_bootstrap.bundle.opening import opened, verify
from paddle_bootstrap.bundle.reading import HEAD, MANIFEST, Bundle, Refused, parsed, tar_header
from paddle_bootstrap.bundle.writing import Part, manifest
from paddle_bootstrap.errors import NoBuildFits, UsageError, WrongBytes
from tests.fakes import bundle
from tests.fakes.wheels import FakeWheel, build, write_lock


def test_a_whole_one(whole: Path, wheels: tuple[FakeWheel, ...]) -> None:
    found = verify(whole, None)
    assert set(found.rows) == {wheel.path.name for wheel in wheels}
    assert found.lock.read_text().startswith("lock-version")
    assert [path.name for path in found.checks] == ["site"]
    assert found.python == "3.11"


def test_equal_input_gives_equal_bytes(whole: Path, lock: Path, wheels: tuple[FakeWheel, ...], tmp_path: Path) -> None:
    assert bundle.make(tmp_path / "again", lock, wheels)[0].read_bytes() == whole.read_bytes()


def test_the_payload_is_a_plain_tar(whole: Path, tmp_path: Path) -> None:
    command = f"tail -c +{HEAD + 1} '{whole}' | tar -xf - -C '{tmp_path}'"
    subprocess.run(["sh", "-c", command], check=True)
    names = [row["name"] for row in verify(whole, None).manifest["members"]]
    assert all((tmp_path / name).is_file() for name in names)
    assert (tmp_path / MANIFEST).is_file()


def test_cut_anywhere(whole: Path, tmp_path: Path) -> None:
    content = whole.read_bytes()
    chosen = random.Random(1)
    cuts = [len(content) - 1, HEAD, HEAD - 1, HEAD + 512, *(chosen.randrange(40, len(content)) for _ in range(40))]
    for cut in cuts:
        damaged = tmp_path / "cut"
        damaged.write_bytes(content[:cut])
        with pytest.raises(WrongBytes, match=r"cut|changed|manifest"):
            verify(damaged, None)


def test_one_bit_anywhere(whole: Path, tmp_path: Path) -> None:
    """In the start script, the manifest, a header, a member or what fills its last block."""
    content = bytearray(whole.read_bytes())
    chosen = random.Random(2)
    head = [chosen.randrange(40, HEAD) for _ in range(10)]
    texts = [HEAD + place for place in (0, 100, 120, 140, 156, 300, 511, *range(512, 2600, 97))]
    rest = [chosen.randrange(HEAD, len(content)) for _ in range(60)]
    damaged = tmp_path / "changed"
    for place in (*head, *texts, *rest, len(content) - 1, len(content) - 1023):
        content[place] ^= 1
        damaged.write_bytes(content)
        with pytest.raises((WrongBytes, NoBuildFits)):
            verify(damaged, None)
        content[place] ^= 1


def test_bytes_after_the_end(whole: Path, tmp_path: Path) -> None:
    longer = tmp_path / "longer"
    longer.write_bytes(whole.read_bytes() + b"\0")
    with pytest.raises(WrongBytes, match="there are bytes after its end"):
        verify(longer, None)


def test_another_file(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"#!/bin/sh\necho something else\n" * 10)
    with pytest.raises(UsageError, match=r"other is not a bundle of paddle-bootstrap"):
        verify(other, None)
    with pytest.raises(UsageError, match="no such bundle"):
        verify(tmp_path / "none", None)
    with pytest.raises(UsageError, match="no such bundle"):
        verify(tmp_path / "no folder" / "none", None)
    with pytest.raises(UsageError, match=r"holds no unpacked bundle: there is no manifest\.json"):
        verify(tmp_path, None)


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({"machine": "s390x"}, "it needs s390x, glibc 2.17 or newer; this host is"),
        ({"glibc": "2.999"}, r"it needs \w+, glibc 2\.999 or newer; this host is \w+, glibc 2\."),
    ],
)
def test_another_platform(
    facts: dict[str, Any], says: str, lock: Path, wheels: tuple[FakeWheel, ...], tmp_path: Path
) -> None:
    made = bundle.make(tmp_path / "other", lock, wheels, **facts)[0]
    with pytest.raises(NoBuildFits, match=says):
        opened(made, None)


def test_a_newer_format(whole: Path) -> None:
    with Bundle(whole) as found:
        newer = found.text.replace(b'"format": 1', b'"format": 2')
    with pytest.raises(Refused, match=r"has format 2, this version reads 1") as caught:
        parsed(newer, "it")
    assert caught.value.code == 2


@pytest.mark.parametrize(
    "name", ["../evil", "/etc/evil", "lock/../../evil", "a//b", "./a", "a/.", "a/", "", "a\nb", "ü"]
)
def test_names_that_lead_elsewhere(name: str) -> None:
    with pytest.raises(Refused, match="its manifest cannot be read"):
        manifest([Part("lock/a", b""), Part(name, b"")], {**bundle.FACTS, "lock": "lock/a"})


@pytest.mark.parametrize("name", ["..evil", "a/...b", "a b", "a/b~1,c@d=e+f-g_h!i"])
def test_odd_names(name: str) -> None:
    assert manifest([Part("lock/a", b""), Part(name, b"")], {**bundle.FACTS, "lock": "lock/a"})


@pytest.mark.parametrize(
    ("name", "size"), [("a", 0), ("lock/" + "y" * 95, 511), ("b/" + "x" * 200, 513), ("big", 20 << 30)]
)
def test_headers_are_those_of_tar(name: str, size: int) -> None:
    header = tar_header(name, size)
    assert len(header) % 512 == 0
    with tarfile.open(fileobj=io.BytesIO(header)) as archive:
        found = archive.next()
    assert found
    assert (found.name, found.size, found.mode, found.mtime, found.uid) == (name, size, 0o644, 0, 0)
    assert found.isfile()


def split(tmp_path: Path, lock: Path, wheels: tuple[FakeWheel, ...]) -> tuple[Path, ...]:
    random_bytes = random.Random(3).randbytes(2_600_000)
    more = build(tmp_path / "more", "noise", "1.0", {"noise.bin": random_bytes})
    every = (*wheels, more)
    return bundle.make(tmp_path / "parts" / "it", write_lock(tmp_path / "pylock.x.toml", every), every, split=1_000_000)


def test_parts(tmp_path: Path, lock: Path, wheels: tuple[FakeWheel, ...]) -> None:
    parts = split(tmp_path, lock, wheels)
    assert [path.name for path in parts] == ["it.001", "it.002", "it.003"]
    assert {path.stat().st_size for path in parts[:-1]} == {1_000_000}
    for given in (parts[0], parts[1], parts[0].with_name("it")):
        assert verify(given, None).lock.name == "pylock.x.toml"
    joined = tmp_path / "joined"
    joined.write_bytes(b"".join(path.read_bytes() for path in parts))
    assert len(verify(joined, None).rows) == 4


def test_a_missing_part(tmp_path: Path, lock: Path, wheels: tuple[FakeWheel, ...]) -> None:
    parts = split(tmp_path, lock, wheels)
    middle, last = parts[1].rename(tmp_path / "middle"), parts[2]
    with pytest.raises(WrongBytes, match=r"it\.002 is missing"):
        verify(parts[0], None)
    shutil.copy(middle, parts[1])
    last.unlink()
    with pytest.raises(WrongBytes, match=r"it\.002 is cut: .*; is it\.003 missing\?"):
        verify(parts[0], None)


def test_parts_of_an_earlier_bundle_go(tmp_path: Path, lock: Path, wheels: tuple[FakeWheel, ...]) -> None:
    parts = split(tmp_path, lock, wheels)
    (parts[0].parent / "it.bak").write_text("not ours")
    done = bundle.make(parts[0].with_name("it"), lock, wheels)
    assert sorted(path.name for path in parts[0].parent.iterdir()) == ["it", "it.bak"]
    assert len(verify(done[0], None).rows) == 3
