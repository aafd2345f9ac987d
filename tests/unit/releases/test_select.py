"""Every rule, each choice for a recorded host argued against the facts, and properties over thousands of hosts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from packaging.version import Version

from paddle_bootstrap.host.facts import Driver, HostFacts, Unknown
from paddle_bootstrap.releases import telling
from paddle_bootstrap.releases.model import Release, releases
from paddle_bootstrap.releases.select import Judged, best, blind, judge, judge_all
from paddle_bootstrap.releases.wanted import Wanted
from tests.fakes.facts import gpu, host
from tests.fakes.hosts import RECORDED, recorded, with_gpus

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "plans"

# The choice of each recorded host, and why it is right.
ARGUED = {
    # CUDA 12 needs 525, so cu118 is all that the driver runs; 7.0 is on cu118's list. CUDA 11 runs from 450.80.02 on.
    "v100-450": "3.3.1 cu118",
    "t4-470": "3.3.1 cu118",
    # 525 is NVIDIA's floor for CUDA 12, but cu118's own driver is 520: that one runs in full, the others without PTX.
    "a100-525": "3.3.1 cu118",
    # 8.9 runs the machine code of 8.6; the driver is below 12.6's and 12.9's own.
    "4090-535": "3.3.1 cu118",
    # cu118 holds nothing for 9.0 (an H200 computes nothing right with it). Both CUDA 12 builds want a newer driver for PTX;
    # cu126 misses less, and Paddle's documents ask for just 550.54.14.
    "h100-550": "3.3.1 cu126",
    "h20-535": "3.3.1 cu126",
    # 12.0 is in the cu129 builds alone, and 575.57 is above CUDA 12.9's own driver.
    "5090-575": "3.3.1 cu129",
    "no-driver": None,
}


def chosen(facts: HostFacts, **wanted: object) -> str | None:
    found = best(judge_all(facts, Wanted(**wanted)))  # type: ignore[arg-type]
    return found.release.id if found else None


def judged(release: str, facts: HostFacts, **wanted: object) -> Judged:
    named = next(each for each in releases() if each.id == release)
    return judge(named, facts, Wanted(**wanted))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_hosts(name: str, request: pytest.FixtureRequest) -> None:
    facts = recorded(name)
    assert chosen(facts) == ARGUED[name]
    said = "\n".join([f"host  {telling.host_line(facts)}", *telling.table(judge_all(facts, Wanted())), ""])
    path = GOLDEN / f"{name}.txt"
    if request.config.getoption("--update-golden"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(said)
    assert said == path.read_text()


@pytest.mark.parametrize(
    ("driver", "capability", "build"),
    [
        ("580.95.05", (6, 1), "3.3.1 cu118"),
        ("580.95.05", (7, 0), "3.3.1 cu118"),
        ("580.95.05", (7, 5), "3.3.1 cu126"),  # a T4 is attested there
        ("580.95.05", (8, 0), "3.3.1 cu129"),
        ("580.95.05", (10, 0), "3.3.1 cu129"),
        ("580.95.05", (10, 3), "3.3.1 cu129"),  # code of 10.0 runs on 10.3
        ("580.95.05", (12, 1), "3.3.1 cu129"),
        ("560.35.05", (9, 0), "3.3.1 cu126"),
        ("525.60.12", (9, 0), None),  # one below the floor
        ("450.80.01", (7, 0), None),
        ("580.95.05", (5, 2), None),
    ],
)
def test_other_hosts(driver: str, capability: tuple[int, int], build: str | None) -> None:
    assert chosen(with_gpus(driver, "GPU", capability)) == build


A100 = with_gpus("580.95.05", "A100", (8, 0))


@pytest.mark.parametrize(
    ("release", "facts", "wanted", "reason"),
    [
        ("3.3.1 cu130", with_gpus("535.104", "A100", (8, 0)), {"build": "cu130"}, "needs driver >= 580.65.06, "),
        ("3.3.1 cu118", with_gpus("550.54.15", "H100", (9, 0)), {}, "holds no machine code for 9.0 (H100)"),
        ("3.3.1 cu130", A100, {}, "its machine code is not known: --build cu130 takes it all the same"),
        ("3.3.1 cu126", with_gpus("580.95.05", "V100", (7, 0)), {}, "nobody has told of machine code for 7.0: --build cu126"),
        ("3.3.1 cu129", A100, {"python": "3.8"}, "has no wheel for Python 3.8 (3.9-3.13)"),
        ("3.3.1 cu129", replace(A100, glibc="2.27"), {}, "needs glibc >= 2.28, this host has 2.27"),
        ("3.3.1 cu129", replace(A100, glibcxx="3.4.24"), {}, "needs GLIBCXX >= 3.4.25, this host has 3.4.24"),
        ("3.3.1 cu129", replace(A100, machine="aarch64"), {}, "is for x86_64, this host is aarch64"),
        ("3.3.1 cu129", replace(A100, cpu_flags=("sse",)), {}, "needs the instructions avx, which this processor lacks"),
        ("3.2.0 cu129", A100, {}, "is served nowhere: "),
        ("2.5.2 post120", A100, {"build": "post120"}, "is served by a page of links alone"),
        ("2.6.2 post120", A100, {"paddle": "2.6.2"}, "needs a CUDA 12.0 that the host brings"),
        ("3.0.0rc0 cu118", A100, {"paddle": ">=3.0.0b1"}, "is a pre-release"),
        ("3.3.1 cu126", A100, {"paddle": "<3.3"}, "was not asked for: --paddle '<3.3'"),
        ("3.3.1 cpu", A100, {}, "is for the CPU"),
        ("3.3.1 cu126", recorded("no-driver"), {}, "needs an NVIDIA driver, this host shows none"),
        ("3.3.1 cu126", replace(A100, gpus=()), {}, "needs a GPU, this host shows none"),
        ("3.3.1 cu126", replace(A100, gpus=(gpu(0, compute_capability=Unknown("gone")),)), {}, "capability is not known"),
    ],
)  # fmt: skip
def test_every_rule(release: str, facts: HostFacts, wanted: dict[str, object], reason: str) -> None:
    found = judged(release, facts, **wanted)
    assert reason in "; ".join(found.excluded)
    assert not judged("3.3.1 cu129", A100).excluded


def test_build_takes_what_is_not_known() -> None:
    found = best(judge_all(A100, Wanted(build="cu130")))
    assert found
    assert found.release.id == "3.3.1 cu130" or found.release.version == "3.4.0"
    assert found.warnings == ("nobody has told its machine code: its bytes are checked once they are here",)
    assert chosen(A100, build="cu120", paddle="2.6.2") == "2.6.2 post120"  # by its CUDA too
    v100 = with_gpus("580.95.05", "V100", (7, 0))
    told = "nobody has told of machine code for 7.0: its bytes are checked once they are here"
    assert judged("3.3.1 cu126", v100, build="cu126").warnings == (told,)
    assert judged("3.3.1 cu118", with_gpus("580.95.05", "H100", (9, 0)), build="cu118").excluded
    assert judged("3.3.1 cu130", with_gpus("575.57.08", "A100", (8, 0)), build="cu130").excluded  # what is known counts


def test_versions() -> None:
    assert chosen(A100, paddle="3.2.2") == "3.2.2 cu126"  # its cu129 is not attested for 8.0
    assert chosen(A100, paddle=">=3.1,<3.3") == "3.2.2 cu126"
    assert chosen(A100, paddle="3.0.0rc0") is None  # its machine code is not known
    assert chosen(A100, paddle="3.0.0rc0", build="cu118") == "3.0.0rc0 cu118"
    assert chosen(A100, paddle="9.9.9") is None
    assert chosen(A100, device="cpu") == "3.3.1 cpu"
    assert chosen(A100, device="cpu", python="3.8") == "3.0.0 cpu"
    assert chosen(replace(A100, glibc="2.27"), device="cpu") == "3.2.2 cpu"


def test_mixed_gpus() -> None:
    both = replace(A100, gpus=(gpu(0, name="V100", compute_capability=(7, 0)), gpu(1, compute_capability=(9, 0))))
    assert chosen(both) is None  # no build holds code for 7.0 and 9.0
    assert judged("3.3.1 cu118", both).excluded == (f"holds no machine code for 9.0 ({gpu(1).name})",)
    assert chosen(replace(both, gpus=both.gpus[1:] if both.gpus else ())) == "3.3.1 cu129"


def test_what_cannot_decide() -> None:
    assert blind(A100) is None
    assert blind(recorded("no-driver")) == "no driver: not loaded: there is no /proc/driver/nvidia/version"
    assert blind(replace(A100, gpus=())) == "the driver lists no GPU"
    assert blind(replace(A100, gpus=Unknown("NVML code 9"))) == "the driver lists no GPU: NVML code 9"
    assert blind(replace(A100, gpus=(gpu(0, compute_capability=Unknown("x")),))) is not None
    # for another host: the newest whose machine code is known, whatever this one has
    assert chosen(recorded("no-driver"), anywhere=True) == "3.3.1 cu129"


CAPABILITIES = st.sampled_from(
    [(5, 2), (6, 0), (6, 1), (7, 0), (7, 5), (8, 0), (8, 6), (8, 9), (9, 0), (10, 0), (12, 0)]
)
DRIVERS = st.tuples(st.integers(390, 620), st.integers(0, 170), st.integers(0, 9))


@st.composite
def hosts(draw: st.DrawFn) -> HostFacts:
    version = ".".join(map(str, draw(DRIVERS)))
    capabilities = draw(st.lists(CAPABILITIES, min_size=1, max_size=3))
    return replace(
        host(0),
        driver=Driver(version, version, (12, 2), None),
        gpus=tuple(gpu(index, compute_capability=each) for index, each in enumerate(capabilities)),
        glibc=draw(st.sampled_from(["2.17", "2.27", "2.28", "2.39"])),
        glibcxx=draw(st.sampled_from(["3.4.19", "3.4.25", "3.4.30", Unknown("no libstdc++")])),
    )


WANTED = st.builds(
    Wanted,
    paddle=st.sampled_from(["auto", "2.6.2", "3.3.1", ">=3.1,<3.3", "<3"]),
    build=st.sampled_from([None, None, "cu126", "cu118", "cu130"]),
    python=st.sampled_from([None, "3.8", "3.11", "3.13"]),
)
MANY = settings(max_examples=700, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def number(version: str | None) -> list[int]:
    return [int(part) for part in (version or "0").split(".")]


def runs(release: Release, facts: HostFacts, wanted: Wanted) -> bool:
    """What fitting means, written once more without the code under test."""
    version = str(facts.driver.kernel_module)
    assert isinstance(facts.gpus, tuple)
    code = None if release.code is None else [each.capability for each in release.code]
    return (
        release.device == "gpu"
        and release.served in ("pypi", "paddle")
        and number(version) >= number(release.min_driver or release.toolkit_driver)
        and (wanted.python is None or wanted.python in release.pythons)
        and number(str(facts.glibc)) >= number(release.glibc)
        and (not facts.glibcxx or number(str(facts.glibcxx)) >= number(release.glibcxx))
        and (wanted.build is not None or (code is not None and release.libraries != "host"))
        and (code is None or (wanted.build is not None and not release.complete) or all(
            any(has[0] == major and has[1] <= minor for has in code)
            for major, minor in (each.compute_capability for each in facts.gpus)  # type: ignore[misc]
        ))
        and wanted.takes(release)
        and (wanted.is_exact or not Version(release.version).is_prerelease)
    )  # fmt: skip


@MANY
@given(hosts(), WANTED)
def test_a_chosen_build_fits_and_nothing_better_is_missed(facts: HostFacts, wanted: Wanted) -> None:
    found = best(judge_all(facts, wanted))
    fitting = [each for each in releases() if runs(each, facts, wanted)]
    assert (found is None) == (not fitting)
    if found is None:
        return
    assert found.release in fitting
    newest = max(Version(each.public) for each in fitting)
    assert Version(found.release.public) == newest
    has = number(str(facts.driver.kernel_module))
    rivals = [each for each in fitting if Version(each.public) == newest]
    full = [each for each in rivals if has >= max(number(each.toolkit_driver), number(each.paddle_driver))]
    order = sorted(full or rivals, key=lambda each: number(each.cuda))
    assert found.release == order[-1 if full else 0]
    assert found.meets == bool(full)


@MANY
@given(hosts(), WANTED, DRIVERS)
def test_a_newer_driver_never_makes_fewer_builds_fit(
    facts: HostFacts, wanted: Wanted, newer: tuple[int, int, int]
) -> None:
    assume(list(newer) >= number(str(facts.driver.kernel_module)))
    later = replace(facts, driver=Driver(".".join(map(str, newer)), "x", (12, 2), None))
    before = {each.release.id for each in judge_all(facts, wanted) if each.fits}
    assert before <= {each.release.id for each in judge_all(later, wanted) if each.fits}


@MANY
@given(hosts(), WANTED)
def test_every_build_is_there_once_with_a_reason_or_a_place(facts: HostFacts, wanted: Wanted) -> None:
    found = judge_all(facts, wanted)
    assert sorted(each.release.id for each in found) == sorted(each.id for each in releases())
    assert all(bool(each.excluded) != each.fits for each in found)
    ranks = [each.rank for each in found if each.fits]
    assert ranks == sorted(ranks, reverse=True)
