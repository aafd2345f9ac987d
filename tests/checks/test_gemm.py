"""Products and convolutions: really computed on the CPU, right and wrong; and on cards of which one goes wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from paddle_bootstrap.host.facts import HostFacts, Unknown
from paddle_bootstrap.lock.model import Build
from paddle_bootstrap.results.model import CheckResult
from tests.checks.judging import fails, passes, warns
from tests.checks.loads import gives, on_gpus, sabotaged
from tests.checks.target import FakeTarget

RIGHT = {
    "error": 1e-5,
    "wrong": [60, 272, "-28.8793", "-28.8794"],
    "finite": True,
    "zeros": 0.0,
    "tflops": 250.0,
    "rounds": 9,
}
SOUND = {"output": 3e-7, "image's gradient": 2e-7, "filters' gradient": 2e-7}
HEALTHY = {
    "matmul": [
        gives(**RIGHT),
        gives(where={"kind": "tf32"}, error=3e-3),
        gives(where={"kind": "fp16"}, error=1e-3),
        gives(where={"kind": "bf16"}, error=1e-2),
    ],
    "repeat": [gives(digests=["a" * 64] * 20)],
    "convolve": [gives(fp32=SOUND, tf32=SOUND, fp16=SOUND, bf16=SOUND)],
}
PRETENDS = """
broken(paddle, "is_compiled_with_cuda", lambda real: lambda: True)
broken(paddle.device.cuda, "device_count", lambda real: lambda: 2)
broken(paddle, "set_device", lambda real: lambda name: real("cpu"))
broken(paddle.device.cuda, "synchronize", lambda real: lambda device: None)
def empty_cache():
    if "repeat" in call:
        raise RuntimeError("memory given back")
broken(paddle.device.cuda, "empty_cache", lambda real: empty_cache)

class Place:
    is_gpu_place = staticmethod(lambda: True)
    is_cpu_place = staticmethod(lambda: False)
    gpu_device_id = staticmethod(lambda: 1)
broken(paddle.Tensor, "place", lambda real: property(lambda tensor: Place))
"""  # a GPU that the CPU plays: what is only said to one is said
Judged = Callable[..., Mapping[str, CheckResult]]
SMALL = {"device": "cpu", "kind": "fp32", "size": 96, "rows": 16, "seconds": 0.01, "warm_up": 0.0, "seed": 1}
REPEAT = {"device": "cpu", "kind": "fp32", "size": 96, "times": 4, "seed": 1}


@pytest.fixture
def judged(fake_target: FakeTarget, gpu_build: Build, healthy: HostFacts) -> Judged:
    return on_gpus("gemm", fake_target, healthy, gpu_build, HEALTHY)


def test_right_products_pass_and_are_measured(judged: Judged) -> None:
    results = judged("gpu")
    assert {result.outcome for result in results.values()} == {"passed", "warned"}, results
    assert len(results) == 6 * 3
    for kind in ("fp32", "tf32", "fp16", "bf16"):
        result = results[f"scripted.{kind}[gpu0]"]
        assert result.measurements[0].name == f"matmul_{kind}"
        warns(result, "no baseline")
    for name in ("repeatable", "convolution"):
        passes(results[f"scripted.{name}[gpu2]"])


WRONG: Mapping[str, tuple[Mapping[str, Any], list[str]]] = {
    "fp32": ({"error": 0.02}, ["the fp32 product is wrong", "2.0e-02", "at most 0.01"]),  # as TF32: the card has it
    "tf32": ({"zeros": 0.5}, ["50% of the tf32 product's values are 0", "did not run", "machine_code"]),
    "fp16": ({"error": 0.02, "wrong": [7, 9, "1.5", "3.5"]}, ["row 7, column 9 is 3.5, not 1.5", "2.0e-02", "0.005"]),
    "bf16": ({"finite": False, "error": 1e30}, ["bf16 product of finite numbers is not finite", "NaN"]),
}


def test_one_card_that_is_wrong_is_named_and_the_others_pass(judged: Judged) -> None:
    wrong = [gives(1, where={"kind": kind}, **fault) for kind, (fault, _) in WRONG.items()]
    results = judged("not repeatable", matmul=[*wrong, gives(2, where={"kind": "fp32"}, tflops=150.0)])
    for kind, (_, words) in WRONG.items():
        fails(results[f"scripted.{kind}[gpu1]"], *words)
        assert results[f"scripted.{kind}[gpu0]"].outcome == "warned"
    slow = results["scripted.fp32[gpu2]"]
    fails(slow, "matmul_fp32 150 TFLOP/s: 40 % slower than its equals")
    assert [one.name for one in slow.measurements] == ["matmul_fp32_together", "matmul_fp32"]  # again, alone


def test_tf32_where_it_was_not_asked_for_and_not_where_it_was(judged: Judged) -> None:
    results = judged(
        "32", matmul=[gives(where={"kind": "fp32"}, error=2e-3), gives(where={"kind": "tf32"}, error=1e-5)]
    )
    warns(results["scripted.fp32[gpu0]"], "float32 was computed in TF32", "2.0e-03")
    warns(results["scripted.tf32[gpu0]"], "TF32 is not used", "NVIDIA_TF32_OVERRIDE")
    assert results["scripted.tf32[gpu0]"].measurements[0].value == 250.0


@pytest.mark.parametrize("capability", [(7, 0), Unknown("no permission")])
def test_a_card_without_the_type_is_excused(
    capability: Any, fake_target: FakeTarget, gpu_build: Build, healthy: HostFacts
) -> None:
    """What cannot be told is tried: a card that has no bf16 then says so itself."""
    judged = on_gpus("gemm", fake_target, healthy, gpu_build, HEALTHY, compute_capability=capability)
    results = judged("(bf16 or fp32)", gpus=1, matmul=[gives(where={"kind": "fp32"}, error=2e-3)])
    result = results["scripted.bf16[gpu0]"]
    if isinstance(capability, Unknown):
        assert result.outcome == "warned"
    else:
        assert (result.outcome, result.required) == ("skipped", False)
        assert result.summary == "bf16 needs compute capability 8.0, gpu0 has 7.0"
        fails(results["scripted.fp32[gpu0]"], "the fp32 product is wrong", "0.0001")


def test_a_card_that_does_not_repeat_itself_and_one_with_a_wrong_gradient(judged: Judged) -> None:
    digests = ["a" * 64] * 18 + ["b" * 64, "c" * 64]
    wrong = gives(2, bf16={**SOUND, "filters' gradient": 0.3})
    results = judged("repeatable or convolution", repeat=[gives(1, digests=digests)], convolve=[wrong])
    fails(
        results["scripted.repeatable[gpu1]"],
        "gpu1 computed 3 different products",
        "18 of 20",
        "bbbbbbbbbbbb",
        "silent data",
    )
    passes(results["scripted.repeatable[gpu0]"])
    fails(
        results["scripted.convolution[gpu2]"],
        "1 of 12 results differ",
        "bf16: filters' gradient by 3.0e-01, not 0.05",
        "libraries.cudnn",
    )
    passes(results["scripted.convolution[gpu1]"])


def test_the_odd_card_out_is_named(judged: Judged) -> None:
    results = judged("repeatable", repeat=[gives(2, digests=["b" * 64] * 20)])
    fails(results["scripted.repeatable[gpu2]"], "gpu2 computes another product than gpu0; gpu1", "bbbb", "service")
    passes(results["scripted.repeatable[gpu0]"])
    passes(results["scripted.repeatable[gpu1]"])


def test_of_two_that_differ_both_fail(judged: Judged) -> None:
    results = judged("repeatable", gpus=2, repeat=[gives(1, digests=["b" * 64] * 20)])
    fails(results["scripted.repeatable[gpu0]"], "gpu0 computes another product than gpu1")
    fails(results["scripted.repeatable[gpu1]"], "gpu1 computes another product than gpu0")


@pytest.mark.paddle
def test_real_workloads_see_what_is_wrong(cpu_target: Path) -> None:
    """The same keys as the scripts above have, and each fault of the library's in the value that tells it."""
    gpu = {"device": 1, "kind": "tf32"}
    elsewhere = (
        "import on_device\nbroken(on_device, 'place_on', lambda real: lambda device: real('cpu'))\n"
        "broken(on_device, 'release', lambda real: lambda device: None)"
    )
    damaged = "broken(paddle, 'matmul', lambda real: lambda a, b: {})"
    times = "count = iter(range(99))\nbroken(paddle, 'matmul', lambda real: lambda a, b: real(a, b) * (1 + (next(count) == 2)))"
    convolve = {"device": "cpu", "kinds": ["fp32"], "seed": 2}
    doubled = "broken(paddle.nn.functional, 'conv2d', lambda real: lambda x, f: real(x, f) * 1.001)"
    told = sabotaged(
        cpu_target,
        {
            "right": ("", "gemm.matmul", SMALL),
            "scaled": (damaged.format("real(a, b) * 1.01"), "gemm.matmul", SMALL),
            "one value": (
                damaged.format("real(a, b) + (paddle.arange(96.) == 17).astype('float32')"),
                "gemm.matmul",
                SMALL,
            ),
            "zeros": (damaged.format("real(a, b) * 0"), "gemm.matmul", SMALL),
            "not a number": (damaged.format("real(a, b) * float('nan')"), "gemm.matmul", SMALL),
            "same": ("", "gemm.repeat", REPEAT),
            "differs once": (times, "gemm.repeat", REPEAT),
            "convolution": ("", "convolution.convolve", convolve),
            "wrong convolution": (doubled, "convolution.convolve", convolve),
            "elsewhere": (elsewhere, "gemm.repeat", {**REPEAT, "device": 0}),
            "on a GPU": (PRETENDS, "gemm.matmul", {**SMALL, **gpu}),
            "given back": (PRETENDS, "gemm.repeat", {**REPEAT, **gpu}),
            "no GPU": ("", "gemm.repeat", {**REPEAT, "device": 0}),
        },
    )
    assert told["right"].keys() == RIGHT.keys()
    assert told["right"]["error"] < 1e-5
    assert told["scaled"]["error"] == pytest.approx(0.04, rel=0.3)
    assert told["one value"]["wrong"][1] == 17
    assert told["zeros"]["zeros"] == 1.0
    assert (told["not a number"]["finite"], told["not a number"]["error"]) == (False, 1e30)
    assert len(set(told["same"]["digests"])) == 1
    assert len(set(told["differs once"]["digests"])) == 2
    assert told["convolution"]["fp32"].keys() == SOUND.keys()
    assert max(told["convolution"]["fp32"].values()) < 1e-6
    assert told["wrong convolution"]["fp32"]["output"] == pytest.approx(1e-3, rel=0.01)
    assert "the left factor lies on Place(cpu), not on gpu:0" in told["elsewhere"]["raised"]
    assert told["on a GPU"]["error"] < 1e-5
    assert "memory given back" in told["given back"]["raised"]
    assert told["no GPU"]["raised"] == "RuntimeError: the installed Paddle is a CPU build"
