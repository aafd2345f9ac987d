"""The network on the real CPU build: it passes, and each thing it judges can fail.

A hard-linked clone of the target runs a file that the test names when Paddle is imported: there it goes wrong in one way.
To judge GPUs without one, the same clone can pretend: everything is computed on the CPU, and said to be on a GPU.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from paddle_bootstrap.host.facts import HostFacts
from paddle_bootstrap.lock.model import Build
from tests.checks.judging import Judged, fails, judge, passes, warns

HOOK = """
import os
if "FAKE_SABOTAGE" in os.environ:
    exec(open(os.environ["FAKE_SABOTAGE"]).read(), {})  # apart: Paddle's module has a `float` and a `bool` of its own
"""
PRETENDS = """
import paddle
paddle.is_compiled_with_cuda = lambda: True
paddle.device.cuda.device_count = lambda: 2
now = [0]
paddle.set_device = lambda name: now.__setitem__(0, int(name.partition(":")[2]))

class Place:
    is_gpu_place = staticmethod(lambda: True)
    is_cpu_place = staticmethod(lambda: False)
    gpu_device_id = staticmethod(lambda: now[0])

really = paddle.Tensor.place
paddle.Tensor.place = property(lambda tensor: Place)
held = iter([0, 10**6])
paddle.device.cuda.memory_allocated = lambda device: next(held)
"""
WRONG = {
    "values": (
        "real = paddle.nn.Conv2D.forward\npaddle.nn.Conv2D.forward = lambda self, x: real(self, x) * 1.01\n",
        ["results differ from NumPy's on the CPU", "convolution by 1.0e-02", "within 0.005", "machine_code"],
    ),
    "not a number": (
        "real = paddle.nn.Conv2D.forward\npaddle.nn.Conv2D.forward = lambda self, x: real(self, x) * float('nan')\n",
        ["results differ from NumPy's on the CPU", "convolution by inf"],
    ),
    "shape": (
        "real = paddle.nn.Linear.forward\n"
        "paddle.nn.Linear.forward = lambda self, x: paddle.concat([real(self, x)] * 2, axis=1)\n",
        ["the output has the wrong shape", "[1, 20]", "[1, 10]", "install.files"],
    ),
    "the optimizer does nothing": (
        "paddle.optimizer.SGD.step = lambda self: None\n",
        ["4 of 11 results differ", "step of conv.weight by 1.0e+00"],
    ),
    "the optimizer does half": (
        "real = paddle.optimizer.SGD.__init__\n"
        "def init(self, rate, parameters): real(self, rate, parameters=parameters[:2])\n"
        "paddle.optimizer.SGD.__init__ = init\n",
        ["2 of 11 results differ", "step of linear.weight by 1.0e+00"],
    ),
    "the loss does not fall": (
        "steps = iter([paddle.optimizer.SGD.step])\n"
        "paddle.optimizer.SGD.step = lambda self: next(steps, lambda self: None)(self)\n",
        ["the loss does not fall", "2.2329, 1.1999, 1.1999", "less after every step"],
    ),
    "the training ends in infinity": (
        "real, count = paddle.optimizer.SGD.step, []\n"
        "def step(self):\n"
        "    real(self)\n"
        "    count.append(1)\n"
        "    if len(count) == 11:\n"
        "        for one in self._parameter_list: one.set_value(one.numpy() * float('inf'))\n"
        "paddle.optimizer.SGD.step = step\n",
        ["a value is not finite after training", "finite numbers"],
    ),
    "a crash": (
        "paddle.nn.Conv2D.forward = lambda self, x: os.abort()\n",
        ["cnn.train: ", "SIGABRT"],
    ),
}
WRONG_ON_A_GPU = {
    "everything on the CPU": (
        "paddle.Tensor.place = really\n",
        ["12 of 12 tensors are not on gpu:0", "conv.weight on cpu", "Paddle fell back to the CPU"],
    ),
    "all but the parameters on the CPU": (
        "kind = paddle.base.framework.EagerParamBase\n"
        "paddle.Tensor.place = property(lambda t: Place if isinstance(t, kind) else really.__get__(t))\n",
        ["8 of 12 tensors are not on gpu:0", "input on cpu"],
    ),
    "another GPU": (
        "Place.gpu_device_id = staticmethod(lambda: 1)\n",
        ["12 of 12 tensors are not on gpu:0", "conv.weight on gpu:1", "went to another"],
    ),
    "no memory is taken": (
        "paddle.device.cuda.memory_allocated = lambda device: 10**9\n",
        ["does not lie in the GPU's memory", "grew by 0 bytes", "291624 bytes"],
    ),
    "Paddle sees no GPU": (
        "paddle.device.cuda.device_count = lambda: 0\n",
        ["Paddle cannot use gpu0", "Paddle sees 0 GPUs, so it has no gpu:0", "device.cuda_driver"],
    ),
    "a CPU build": (
        "paddle.is_compiled_with_cuda = lambda: False\n",
        ["Paddle cannot use gpu0", "the installed Paddle is a CPU build", "install.build"],
    ),
}

pytestmark = pytest.mark.paddle
Trained = Callable[[str, Build, HostFacts], Judged]


@pytest.fixture(scope="module")
def clone(cpu_target: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The target's files by hard link; the one that is changed is a new file."""
    clone = cpu_target.parent / f".clone-{os.getpid()}"
    subprocess.run(["cp", "-al", str(cpu_target), str(clone)], check=True)
    init = next(clone.glob("lib/python3*/site-packages/paddle/__init__.py"))
    source = init.read_text()
    init.unlink()
    init.write_text(source + HOOK)
    yield clone
    shutil.rmtree(clone)


@pytest.fixture
def trained(clone: Path, tmp_path: Path) -> Trained:
    """The network's results with ``sabotage`` done to Paddle."""

    def trained(sabotage: str, build: Build, facts: HostFacts) -> Judged:
        file = tmp_path / "sabotage.py"
        file.write_text(f"import os\nimport paddle\n{sabotage}")
        environ = {**os.environ, "FAKE_SABOTAGE": str(file)}
        return judge(clone, facts, build, "device.cnn", environ=environ)

    return trained


def one_gpu(facts: HostFacts) -> HostFacts:
    assert isinstance(facts.gpus, tuple)
    return replace(facts, gpus=facts.gpus[:1])


def test_the_cpu_passes_and_says_that_it_was_the_cpu(trained: Trained, cpu_build: Build, healthy: HostFacts) -> None:
    result = trained("", cpu_build, healthy)["device.cnn[cpu]"]
    warns(result, "this was the CPU: no GPU was judged")
    assert result.device == "cpu"


@pytest.mark.parametrize("wrong", WRONG)
def test_what_goes_wrong_is_found(wrong: str, trained: Trained, cpu_build: Build, healthy: HostFacts) -> None:
    sabotage, words = WRONG[wrong]
    fails(trained(sabotage, cpu_build, healthy)["device.cnn[cpu]"], *words)


@pytest.mark.parametrize("wrong", WRONG_ON_A_GPU)
def test_what_is_not_on_the_gpu_is_found(wrong: str, trained: Trained, gpu_build: Build, healthy: HostFacts) -> None:
    sabotage, words = WRONG_ON_A_GPU[wrong]
    fails(trained(PRETENDS + sabotage, gpu_build, one_gpu(healthy))["device.cnn[gpu0]"], *words)


def test_two_gpus_are_two_items(trained: Trained, gpu_build: Build, healthy: HostFacts) -> None:
    """The first passes, the second computes wrong values."""
    sabotage = (
        "real = paddle.nn.Conv2D.forward\npaddle.nn.Conv2D.forward = lambda self, x: real(self, x) * (1 + now[0])\n"
    )
    results = trained(PRETENDS + sabotage, gpu_build, healthy)
    passes(results["device.cnn[gpu0]"])
    fails(results["device.cnn[gpu1]"], "results differ", "convolution by 1.0e+00")
    assert [result.device for result in results.values()] == ["gpu0", "gpu1"]


def test_no_gpu_is_a_failure_and_no_skip(trained: Trained, gpu_build: Build, healthy: HostFacts) -> None:
    result = trained("", gpu_build, replace(healthy, gpus=()))["device.cnn[gpu]"]
    fails(result, "no usable GPU: the driver is there, but lists no GPU", "the host checks")
