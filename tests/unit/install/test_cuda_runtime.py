"""The system's CUDA serves only when every library is there in the right major; links are made, kept, and removed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from paddle_bootstrap.errors import InstallFailed
from paddle_bootstrap.install import cuda_runtime
from paddle_bootstrap.lock import pylock
from paddle_bootstrap.lock.model import Build
from tests.fakes.wheels import NEEDS, Provisioning, library

PLACES = {
    "default folder": ("usr/lib/x86_64-linux-gnu", None),
    "ld.so.conf": ("opt/cuda/lib", "/opt/cuda/lib\n"),
    "ld.so.conf.d": ("opt/more/lib", "# CUDA\ninclude /etc/ld.so.conf.d/*.conf\n"),
}


@pytest.fixture
def build(provisioning: Provisioning) -> Build:
    found = pylock.read(provisioning.lock("one")).build
    assert found is not None
    return found


def system(root: Path, folder: str = "usr/lib64", **majors: str) -> Path:
    place = root / folder
    place.mkdir(parents=True, exist_ok=True)
    for name, major in {**{name.removesuffix(".so"): major for name, major in NEEDS.items()}, **majors}.items():
        (place / f"{name}.so").write_bytes(library(f"{name}.so.{major}"))
    return place


def test_a_build_whose_metadata_pins_nvidias_wheels(tmp_path: Path, build: Build) -> None:
    """Nobody knows which names it loads, so the system's libraries cannot stand in."""
    assert build.libraries is not None
    system(tmp_path)
    pinned = replace(build, libraries=replace(build.libraries, link=False, needs={}))
    assert cuda_runtime.resolve("auto", pinned, tmp_path, {}).runtime == "wheels"
    with pytest.raises(InstallFailed, match="which its METADATA pins, and not the system's CUDA"):
        cuda_runtime.resolve("system", pinned, tmp_path, {})


@pytest.mark.parametrize("case", PLACES)
def test_every_library_is_there(tmp_path: Path, build: Build, case: str) -> None:
    folder, configuration = PLACES[case]
    place = system(tmp_path, folder)
    if configuration:
        (tmp_path / "etc/ld.so.conf.d").mkdir(parents=True)
        (tmp_path / "etc/ld.so.conf").write_text(configuration)
        (tmp_path / "etc/ld.so.conf.d/more.conf").write_text(f"/{folder}\n")
    choice = cuda_runtime.resolve("auto", build, tmp_path, {})
    assert choice.runtime == "system"
    assert choice.libraries == {name: str(place / name) for name in NEEDS}


def test_ld_library_path_comes_first(tmp_path: Path, build: Build) -> None:
    system(tmp_path, "usr/lib64", libcublas="12")
    mine = system(tmp_path, "mine")
    assert cuda_runtime.resolve("auto", build, tmp_path, {"LD_LIBRARY_PATH": f":{mine}"}).runtime == "system"
    assert cuda_runtime.resolve("auto", build, tmp_path, {}).runtime == "wheels"


def test_cudnn_alone_is_looked_for_in_usr_local_cuda(tmp_path: Path, build: Build) -> None:
    place = system(tmp_path)
    (tmp_path / "usr/local/cuda/lib64").mkdir(parents=True)
    (place / "libcudnn.so").rename(tmp_path / "usr/local/cuda/lib64/libcudnn.so")
    assert cuda_runtime.resolve("auto", build, tmp_path, {}).runtime == "system"
    (place / "libcublas.so").rename(tmp_path / "usr/local/cuda/lib64/libcublas.so")
    assert cuda_runtime.resolve("auto", build, tmp_path, {}).runtime == "wheels"


def test_a_wrong_major_is_named(tmp_path: Path, build: Build) -> None:
    place = system(tmp_path, libcudnn="9")
    (place / "libcublas.so").unlink()
    choice = cuda_runtime.resolve("auto", build, tmp_path, {})
    assert (choice.runtime, choice.reason) == ("wheels", "the system lacks libcudnn.so, libcublas.so")
    with pytest.raises(InstallFailed) as caught:
        cuda_runtime.resolve("system", build, tmp_path, {})
    assert caught.value.tried == (
        f"libcudnn.so: {place}/libcudnn.so is libcudnn.so.9, the build needs libcudnn.so.8",
        "libcublas.so: not found under this name",
    )
    assert "--cuda-runtime wheels" in caught.value.hint


def test_a_minor_in_the_soname_is_no_other_major(tmp_path: Path, build: Build) -> None:
    system(tmp_path, libcublas="11.11")
    assert cuda_runtime.resolve("auto", build, tmp_path, {}).runtime == "system"
    system(tmp_path, libcublas="110")
    assert cuda_runtime.resolve("auto", build, tmp_path, {}).runtime == "wheels"


def test_the_wheels_when_asked_and_none_for_a_cpu_build(provisioning: Provisioning, build: Build) -> None:
    system(provisioning.root)
    lock = pylock.read(provisioning.lock("one"))
    wheels = cuda_runtime.resolve("wheels", build, provisioning.root, {})
    assert (wheels.runtime, wheels.groups(lock)) == ("wheels", ("cuda",))
    assert cuda_runtime.resolve("system", build, provisioning.root, {}).groups(lock) == ()
    cpu = pylock.read(provisioning.lock("cpu"))
    assert cuda_runtime.resolve("system", cpu.build, provisioning.root, {}).runtime == "none"


@pytest.fixture
def site_packages(tmp_path: Path) -> Path:
    """As uv leaves it, with a second cuDNN that another package brought."""
    place = tmp_path / "site-packages"
    names = ("cudnn/lib/libcudnn.so.8", "cudnn/lib/libcudnn.so.9", "cublas/lib/libcublas.so.11", "x/lib/libown.so.1")
    for name in names:
        (place / "nvidia" / name).parent.mkdir(parents=True, exist_ok=True)
        (place / "nvidia" / name).write_bytes(b"")
        info = place / f"nvidia_{Path(name).name.replace('.', '_')}-1.dist-info"
        info.mkdir()
        (info / "RECORD").write_text(f"nvidia/{name},,0\n{info.name}/RECORD,,\n")
    (place / "paddle/libs").mkdir(parents=True)
    (place / "paddle/libs/libown.so.1").write_bytes(b"Paddle's")
    (place / "paddlepaddle_gpu-2.6.2.dist-info").mkdir()
    (place / "paddlepaddle_gpu-2.6.2.dist-info/RECORD").write_text('paddle/libs/libown.so.1,,8\n"odd,name",,\n')
    return place


def links_in(site_packages: Path) -> dict[str, str]:
    found = [path for path in (site_packages / "paddle/libs").iterdir() if path.is_symlink()]
    return {path.name: str(path.readlink()) for path in sorted(found)}


LINKS = {
    "libcublas.so": "../../nvidia/cublas/lib/libcublas.so.11",
    "libcublas.so.11": "../../nvidia/cublas/lib/libcublas.so.11",
    "libcudnn.so": "../../nvidia/cudnn/lib/libcudnn.so.8",
    "libcudnn.so.8": "../../nvidia/cudnn/lib/libcudnn.so.8",
    "libcudnn.so.9": "../../nvidia/cudnn/lib/libcudnn.so.9",
    "libown.so": "../../nvidia/x/lib/libown.so.1",
}


def test_both_names_are_linked_and_recorded_once(site_packages: Path, build: Build) -> None:
    record = site_packages / "paddlepaddle_gpu-2.6.2.dist-info/RECORD"
    old, inode = record.open(), record.stat().st_ino
    with old:
        made = cuda_runtime.link(site_packages, build)
        assert old.read() == 'paddle/libs/libown.so.1,,8\n"odd,name",,\n'  # the old file is left as it was
    assert record.stat().st_ino != inode
    assert links_in(site_packages) == LINKS
    assert made == tuple(f"paddle/libs/{name}" for name in sorted(LINKS))
    after = record.read_text()
    assert after.splitlines()[:2] == ["paddle/libs/libown.so.1,,8", '"odd,name",,']
    assert after.splitlines()[2:] == [f"{name},," for name in made]
    cuda_runtime.link(site_packages, build)
    assert record.read_text() == after


def test_stale_links_go(site_packages: Path, build: Build) -> None:
    cuda_runtime.link(site_packages, build)
    libs = site_packages / "paddle/libs"
    (site_packages / "nvidia/cublas/lib/libcublas.so.11").unlink()
    (libs / "libcudnn.so").unlink()
    (libs / "libcudnn.so").symlink_to("../../nvidia/cudnn/lib/libcudnn.so.9")
    made = cuda_runtime.link(site_packages, build)
    assert links_in(site_packages) == {name: leads for name, leads in LINKS.items() if "cublas" not in name}
    assert "cublas" not in (site_packages / "paddlepaddle_gpu-2.6.2.dist-info/RECORD").read_text()
    assert not any("cublas" in name for name in made)


def test_a_file_that_no_wheel_brought_is_not_linked(site_packages: Path, build: Build) -> None:
    """Also where an earlier installation has linked it; somebody's own link stays."""
    libs = site_packages / "paddle/libs"
    (site_packages / "nvidia/cudnn/lib/libforeign.so.1").write_bytes(b"")
    assert cuda_runtime.unlinked(site_packages, build) == tuple(sorted(LINKS))
    (libs / "libforeign.so.1").symlink_to("../../nvidia/cudnn/lib/libforeign.so.1")
    (libs / "libtheirs.so").symlink_to("libown.so.1")
    made = cuda_runtime.link(site_packages, build)
    assert links_in(site_packages) == {**LINKS, "libtheirs.so": "libown.so.1"}
    assert made == tuple(f"paddle/libs/{name}" for name in sorted(LINKS))


def test_a_paddle_without_record(site_packages: Path, build: Build) -> None:
    (site_packages / "paddlepaddle_gpu-2.6.2.dist-info/RECORD").unlink()
    with pytest.raises(InstallFailed, match="no RECORD of paddlepaddle-gpu"):
        cuda_runtime.link(site_packages, build)
