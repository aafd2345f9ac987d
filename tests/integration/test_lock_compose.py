"""``lock`` against Paddle's index as it is known to be, rebuilt on loopback, over TLS that is checked."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import pytest

from paddle_bootstrap.fetch.store import Store
from paddle_bootstrap.lock import pylock
from tests.fakes.lock_desk import DATA, NAME, NVTX, REST, Desk
from tests.unit.lock.cpython import cpython
from tests.unit.lock.gpu_wheel import PYTHON, gpu_name, gpu_wheel
from tests.unit.lock.small_index import File


def test_a_lock_is_composed_from_metadata_that_was_read_by_ranges(desk: Desk, tmp_path: Path) -> None:
    assert desk.lock() == 0, desk.err
    lock = pylock.read(desk.written)
    wheels = {wheel.filename: wheel for wheel in pylock.select(lock, cpython(PYTHON)).wheels}
    assert set(wheels) == {NAME, *REST}
    assert (wheels[NAME].sha256, wheels[NAME].size) == (hashlib.sha256(DATA).hexdigest(), len(DATA))
    assert len(wheels[NAME].pieces) == 2
    assert all(wheel.pieces for wheel in wheels.values())
    store = Store(tmp_path / "xdg-cache" / "paddle-bootstrap")
    assert all(store.has(wheel) for wheel in wheels.values())
    assert NVTX not in {wheel.filename for wheel in pylock.select(lock, cpython(PYTHON), groups=()).wheels}
    assert lock.build is not None
    assert (lock.build.id, lock.build.index_folder, lock.build.cuda) == ("gpu-3_3_1-cu126", "cu126", "12.6")
    read = [asked for _, asked in desk.paddle.origin.sent(NAME)]
    assert read
    assert all(asked.startswith("bytes=") and not asked.endswith("-") for asked in read)  # never the whole file
    assert sum(asked in ("", "bytes=0-") for _, asked in desk.paddle.cdn.sent(NAME)) == 1  # and once from the CDN


def test_a_first_use_is_told(desk: Desk) -> None:
    assert desk.lock() == 0, desk.err
    assert f"{NAME}: nobody publishes its digest; it is learned now from Paddle's own host: first use" in desk.err
    row = pylock.read(desk.written).first_use[0]
    assert (row.file, row.how) == (NAME, "first use")
    assert row.source == f"paddle-cdn ({desk.paddle.cdn.root}/stable/cu126/)"
    assert row.transport == (
        "paddle-cdn and paddle-bj have the same size and zip directory; "
        "TLS checked against certificate, not the host's own authorities"
    )
    assert f"{NAME}: first use, from paddle-cdn (" in desk.out


def test_a_first_use_obeys_limit_rate(desk: Desk) -> None:
    """Without the limit the whole command takes half a second."""
    began = time.monotonic()
    assert desk.lock("--limit-rate", "3M") == 0, desk.err
    assert time.monotonic() - began >= len(DATA) / 3e6


def test_require_shipped_refuses_it_before_and_after(desk: Desk) -> None:
    assert desk.lock("--require-shipped") == 10
    assert f"--require-shipped: nobody publishes or has recorded the digest of {NAME}" in desk.err
    assert not desk.written.exists()
    assert desk.lock() == 0
    assert desk.plan("--require-shipped", "--python", PYTHON) == 10
    assert "holds digests that are known from first use alone" in desk.err
    assert f"{NAME}: first use" in desk.err
    desk.settings("require-shipped = true\n")
    assert desk.plan("--python", PYTHON) == 10


def test_hosts_without_the_word_origin_teach_nothing(desk: Desk) -> None:
    """A [[mirror]] that leads elsewhere is transport, whatever its name and however good its certificate."""
    desk.settings(origin=False)
    assert desk.lock() == 12
    assert "no origin that holds Paddle's wheels is configured" in desk.err
    assert desk.paddle.cdn.asked == desk.paddle.origin.asked == desk.paddle.index.asked == []


def test_trusted_host_does_not_make_an_origin(desk: Desk, tmp_path: Path) -> None:
    """The certificate is checked all the same."""
    settings = desk.folder / "paddle-bootstrap.toml"
    text = settings.read_text()
    keep = text.index('name = "official"')
    settings.write_text(text[:keep].replace(f'ca = "{desk.certificate}"', "") + text[keep:])
    assert desk.lock("--trusted-host", "127.0.0.1") == 12
    assert "certificate" in desk.err
    assert desk.paddle.cdn.sent(NAME) == []


def test_a_mirror_teaches_nothing(desk: Desk) -> None:
    """The origins are down; a mirror that has the file is not asked for what it is."""
    for host in (desk.paddle.cdn, desk.paddle.origin, desk.paddle.index):
        host.folders = {}
    assert desk.lock("--mirror", desk.pypi.url) == 12
    assert f"none of Paddle's hosts has {NAME}" in desk.err
    assert desk.pypi.fetched == []


def test_one_host_that_is_out_leaves_the_other(desk: Desk) -> None:
    desk.paddle.cdn.empty.add(NAME)  # 200, and nothing in it
    assert desk.lock("--mirror", "paddle-bj") == 0, desk.err
    row = pylock.read(desk.written).first_use[0]
    assert row.source.startswith("paddle-bj (")
    assert row.transport == "TLS checked against certificate, not the host's own authorities"


def test_every_trap_is_told(desk: Desk) -> None:
    """An empty answer, a redirect to a stranger who has the file, and a page that lacks the cell."""
    desk.paddle.cdn.empty.add(NAME)
    desk.pypi.files[NAME] = File(NAME, data=DATA)
    stranger = desk.pypi.url.removesuffix("/simple")
    desk.paddle.origin.redirects[NAME] = f"{stranger}/files/{NAME}"
    del desk.paddle.index.folders["cu126"][NAME]
    assert desk.lock() == 12
    assert "instead of the file it sends an empty answer or a web page" in desk.err
    assert f"it leads to {stranger}, which is none of Paddle's known hosts" in desk.err
    assert "its page lists 1 wheels" in desk.err  # the CPU wheel in the GPU folder is none of ours


def test_a_page_that_leads_to_a_stranger_is_not_followed(desk: Desk) -> None:
    desk.paddle.index.leads = "https://elsewhere.example"
    assert desk.lock() == 0, desk.err
    assert pylock.read(desk.written).first_use[0].source.startswith("paddle-cdn")
    for host in (desk.paddle.cdn, desk.paddle.origin):
        host.folders = {}
    desk.written.unlink()
    assert desk.lock() == 12
    assert "it leads to https://elsewhere.example, which is none of Paddle's known hosts" in desk.err


def test_an_unknown_project_is_an_empty_page(desk: Desk) -> None:
    for host in (desk.paddle.cdn, desk.paddle.origin, desk.paddle.index):
        host.folders["cu126"] = {}
    assert desk.lock() == 12
    assert "its page lists no file" in desk.err


def test_hosts_that_disagree_are_not_believed(desk: Desk) -> None:
    desk.paddle.origin.folders["cu126"][NAME] = gpu_wheel(filling=b"changed")
    assert desk.lock() == 13
    assert f"Paddle's hosts do not have the same {NAME}" in desk.err
    assert not desk.written.exists()


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (gpu_wheel(says="3.2.0"), "its METADATA says paddlepaddle-gpu 3.2.0"),
        (gpu_wheel(package="paddlepaddle"), "its METADATA says paddlepaddle 3.3.1"),
        (b"<html>blocked</html>", "it is no wheel"),
        (DATA[:-100], "it is no wheel: File is not a zip file"),
    ],
)
def test_a_file_that_is_another_than_its_name_says(desk: Desk, data: bytes, told: str) -> None:
    for host in (desk.paddle.cdn, desk.paddle.origin):
        host.folders["cu126"][NAME] = data
    assert desk.lock() == 13
    assert told in desk.err


def test_a_download_that_is_cut_goes_on(desk: Desk) -> None:
    desk.paddle.cdn.cut[NAME] = 3 << 20
    assert desk.lock() == 0, desk.err
    asked = [asked for _, asked in desk.paddle.cdn.sent(NAME)]
    assert f"bytes={3 << 20}-" in asked
    assert pylock.read(desk.written).first_use


def test_a_host_that_knows_no_ranges_is_left_alone(desk: Desk) -> None:
    desk.paddle.cdn.ranges = desk.paddle.origin.ranges = False
    assert desk.lock() == 12
    assert "it does not answer with the part of the file that was asked for" in desk.err


def test_a_host_that_forgets_ranges_in_between_is_read_from_the_start(desk: Desk) -> None:
    desk.paddle.cdn.cut[NAME] = 3 << 20
    desk.paddle.cdn.deaf_after_cut = True
    assert desk.lock("--mirror", "paddle-bj") == 0, desk.err
    assert pylock.read(desk.written).first_use[0].source.startswith("paddle-cdn")


def test_bytes_that_are_not_those_of_the_directory_are_refused(desk: Desk, tmp_path: Path) -> None:
    """A part of an earlier run that rotted on the disk, or a host that changes in mid-file."""
    desk.paddle.cdn.cut[NAME] = 3 << 20
    desk.paddle.cdn.down_after_cut = True
    desk.paddle.origin.empty.add(NAME)
    assert desk.lock() == 12
    part = next((tmp_path / "xdg-cache" / "paddle-bootstrap" / "partial").glob("first-use-*.part"))
    part.write_bytes(b"x" * 1000 + part.read_bytes()[1000:])
    desk.paddle.cdn.down = False
    assert desk.lock() == 13
    assert f"{NAME} is damaged" in desk.err
    assert not part.exists()
    assert desk.lock() == 0, desk.err


def test_what_does_not_go_together_is_told_before_anything_is_downloaded(desk: Desk) -> None:
    desk.pypi.files["old-1.0-py3-none-any.whl"] = File(
        "old-1.0-py3-none-any.whl",
        data=gpu_wheel("1.0", package="old", requires=["numpy<1.20"]),
    )
    desk.settings('extra = ["old==1.0"]\n')
    assert desk.lock() == 10
    assert "old depend on numpy<1.20" in desk.err
    assert "paddlepaddle-gpu==3.3.1 depends on numpy>=1.21" in desk.err
    assert "extra in paddle-bootstrap.toml" in desk.err
    assert desk.pypi.fetched == []


def test_what_the_settings_ask_for_is_in_the_lock(desk: Desk) -> None:
    desk.pypi.files["tool-1.0-py3-none-any.whl"] = File("tool-1.0-py3-none-any.whl")
    desk.settings('extra = ["tool==1.0"]\n')
    assert desk.lock() == 0, desk.err
    lock = pylock.read(desk.written)
    assert lock.extra == ("tool==1.0",)
    assert "tool" in {package.name for package in pylock.packages(lock)}
    desk.settings('extra = ["tool==1.0", "other"]\n')
    assert desk.plan("--python", PYTHON) == 2
    assert "holds tool==1.0 beside Paddle, the settings ask for tool==1.0, other" in desk.err
    assert "lock --upgrade" in desk.err


def test_a_flag_for_it(desk: Desk) -> None:
    desk.pypi.files["tool-1.0-py3-none-any.whl"] = File("tool-1.0-py3-none-any.whl")
    assert desk.lock("--extra", "tool", "-o", "pylock.mine.toml") == 0, desk.err
    assert pylock.read(desk.folder / "pylock.mine.toml").extra == ("tool",)
    assert not desk.written.exists()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("!!bad", "'!!bad' is no requirement: Expected package name"),
        ("six @ file:///x.whl", "'six @ file:///x.whl' names an address"),
        ("six @ https://me:secret@host/x.whl", "'six @ https://***@host/x.whl' names an address"),
        ("-r more.txt", "'-r more.txt' is no requirement"),
    ],
)
def test_what_no_lock_can_hold_is_refused_at_once(desk: Desk, text: str, told: str) -> None:
    assert desk.lock("--extra", text) == 2
    assert f"--extra: {told}" in desk.err
    desk.settings(f'extra = ["numpy", "{text}"]\n')
    for code in (desk.lock(), desk.plan("--python", PYTHON)):
        assert code == 2
        assert f"{desk.folder / 'paddle-bootstrap.toml'}: extra: {told}" in desk.err
        assert "secret" not in desk.err
    assert desk.paddle.index.asked == []


def test_every_python_of_the_build(desk: Desk) -> None:
    """A cell that is missing is told; with all of them there, each Python gets its own file."""
    assert desk.lock("--all-pythons", paddle="3.1.1") == 12
    assert "its page lists 2 wheels, nothing of that version" in desk.err
    pythons = ("3.9", "3.10", "3.11", "3.12", "3.13")
    for host in (desk.paddle.cdn, desk.paddle.origin):
        for python in pythons:
            host.folders["cu126"][gpu_name("3.1.1", python)] = gpu_wheel("3.1.1", filling=python.encode())
    assert desk.lock("--all-pythons", paddle="3.1.1") == 0, desk.err
    lock = pylock.read(desk.written)
    assert pylock.pythons(lock) == pythons
    assert len(lock.first_use) == len(pythons)
    for python in pythons:
        names = {wheel.filename for wheel in pylock.select(lock, cpython(python)).wheels}
        assert gpu_name("3.1.1", python) in names


def test_a_build_for_another_python(desk: Desk) -> None:
    assert desk.lock("--python", "3.8") == 10
    assert "paddlepaddle-gpu 3.3.1 cu126 has no wheel for Python 3.8" in desk.err


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--paddle", "9.9"], 10, "there is no build for --paddle 9.9"),
        (["-o", "my.lock"], 2, "installers know locks as pylock.toml and pylock.NAME.toml"),
        (["--check", "--upgrade"], 2, "three commands"),
        (["--upgrade"], 2, "this project has no lock"),
        (["--check"], 2, "this project has no lock"),
        (["--paddle", "3.4.0", "--build", "cu132"], 10, "is served nowhere"),
    ],
)
def test_what_cannot_be_meant(desk: Desk, words: list[str], code: int, told: str) -> None:
    assert desk.run(*words) == code
    assert told in desk.err


def test_a_lock_that_is_there_is_not_overwritten(desk: Desk) -> None:
    desk.written.write_text("mine")
    assert desk.lock() == 2
    assert "is there already" in desk.err
    assert desk.written.read_text() == "mine"


@pytest.mark.parametrize("place", ["none", "/proc", "file"])
@pytest.mark.parametrize("build", [("3.3.1", "cu126"), ("2.6.2", "cu118")], ids=["composed", "shipped"])
def test_a_place_where_nothing_can_be_written(desk: Desk, place: str, build: tuple[str, str]) -> None:
    """Told before anybody is asked for anything."""
    (desk.folder / "file").write_text("")
    output = desk.folder / place / "pylock.toml"
    assert desk.lock("-o", str(output), paddle=build[0], build=build[1]) == 14
    assert f"cannot write the lock {output}: " in desk.err
    assert "name a place where this user can write" in desk.err
    assert desk.paddle.index.asked == desk.paddle.cdn.asked == []
    assert desk.pypi.fetched == []
    assert sorted(path.name for path in desk.folder.iterdir()) == ["file", "paddle-bootstrap.toml"]


def test_nothing_is_left_beside_a_lock(desk: Desk) -> None:
    assert desk.lock() == 0, desk.err
    assert sorted(path.name for path in desk.folder.iterdir()) == [
        "paddle-bootstrap.toml",
        "pylock.paddle.pieces.json",
        "pylock.paddle.toml",
    ]


def test_a_shipped_lock_is_taken_as_it_is(desk: Desk) -> None:
    assert desk.run("--paddle", "2.6.2", "--build", "cu118") == 0, desk.err
    shipped = pylock.find("gpu-2_6_2-cu118")
    assert desk.written.read_bytes() == shipped.read_bytes()
    assert desk.written.with_name("pylock.paddle.pieces.json").exists()
    assert desk.pypi.fetched == []


def test_credentials_of_the_index_reach_uv_and_nobody_else(desk: Desk) -> None:
    settings = desk.folder / "paddle-bootstrap.toml"
    settings.write_text(settings.read_text().replace(desk.pypi.url, desk.pypi.url.replace("//", "//me:S3cret@")))
    assert desk.lock() == 0, desk.err
    told = desk.out + desk.err + desk.written.read_text()
    desk.written.unlink()
    assert desk.lock("--extra", "numpy==1.0") == 10
    assert "S3cret" not in told + desk.out + desk.err
    assert desk.pypi.logins == {"me:S3cret"}
