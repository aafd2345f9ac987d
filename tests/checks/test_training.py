"""Training, loader, export, checkpoint: really run on the CPU, right and broken; and what is said of a card that errs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from paddle_bootstrap.host.facts import HostFacts
from paddle_bootstrap.lock.model import Build
from paddle_bootstrap.results.model import CheckResult
from tests.checks.judging import fails, passes
from tests.checks.loads import gives, on_gpus, sabotaged
from tests.checks.target import FakeTarget

LOSSES = [2.5 * 0.95**step for step in range(50)]
HEALTHY = {
    "train": [
        gives(losses=LOSSES, finite=True, computed="float32"),
        gives(where={"amp": "float16"}, computed="float16"),
    ],
    "batches": [gives(batches=12, expected=12, wrong=[], seconds=0.1)],
    "death": [gives(told="SystemError: killed by signal", ended="every batch came", seconds=2.1)],
    "agree": [gives(difference=2e-7, files=["net.json", "net.pdiparams"], shape=[16, 10], wanted=[16, 10])],
    "resume": [gives(loaded=0.0, stepped=0.0, moved=0.2, bytes=146122)],
}
Judged = Callable[..., Mapping[str, CheckResult]]
TRAIN = ("residual.train", {"device": "cpu", "steps": 6, "seed": 1})
RESUME = ("residual.resume", {"device": "cpu", "steps": 2, "seed": 1})
AGREE = ("export.agree", {"device": "cpu", "seed": 1})
BATCHES = ("loader.batches", {"device": "cpu", "workers": 2})
DEATH = ("loader.death", {"device": "cpu", "workers": 2, "seconds": 1})


@pytest.fixture
def judged(fake_target: FakeTarget, gpu_build: Build, healthy: HostFacts) -> Judged:
    return on_gpus("training", fake_target, healthy, gpu_build, HEALTHY)


def test_what_is_right_passes(judged: Judged) -> None:
    results = judged("gpu")
    assert len(results) == 5 * 3
    for result in results.values():
        passes(result)


AT_THE_END: list[float | None] = [*LOSSES[:30], None, *LOSSES[31:]]
OTHERWISE = [*LOSSES[:20], *(loss + 1e-3 for loss in LOSSES[20:])]
FP32, AMP = {"amp": None}, {"amp": "float16"}
Fault = tuple[str, Mapping[str, Any], Mapping[str, Any], list[str]]  # call, where, what it gives, words
FAULTS: Sequence[Mapping[str, Fault]] = (  # by check; a round each
    {
        "fp32": (
            "train",
            FP32,
            {"losses": AT_THE_END, "finite": False},
            ["gpu1 gives a loss", "not finite, on gpu0; gpu2 it does not", "at step 30", "a defective GPU"],
        ),
        "amp": ("train", AMP, {"computed": "float32"}, ["a convolution computed in float32", "went on without"]),
        "loader": ("batches", {}, {"batches": 11}, ["11 of 12 batches", "shared_memory"]),
        "export": ("agree", {}, {"difference": 0.1}, ["other values than the live network", "1.0e-01", "0.005"]),
        "checkpoint": ("resume", {}, {"loaded": 1e-9}, ["are not what they were", "1.0e-09"]),
    },
    {
        "fp32": ("train", FP32, {"finite": False}, ["gpu1 ends in values that are not finite", "a parameter is NaN"]),
        "amp": (
            "train",
            AMP,
            {"losses": [2.5] * 50},
            ["the loss does not fall", "2.5000 at first", "100%", "at most 50%"],
        ),
        "loader": (
            "batches",
            {},
            {"wrong": ["batch 3 has other values than its items"]},
            ["wrong batches", "batch 3 has other"],
        ),
        "export": ("agree", {}, {"shape": [16, 20]}, ["another shape", "[16, 20]", "--repair"]),
        "checkpoint": ("resume", {}, {"stepped": 0.05}, ["step after loading differs", "by 5.0e-02", "one by 2.0e-01"]),
    },
    {
        "fp32": (
            "train",
            FP32,
            {"losses": OTHERWISE},
            ["gpu1 learns otherwise than gpu0; gpu2", "differs by 1.0e-03, first at step 20", "1e-05"],
        ),
        "loader": (
            "death",
            {},
            {"told": None},
            ["a loader worker was killed, and nobody was told", "after 2 s", "--init"],
        ),
        "checkpoint": ("resume", {}, {"moved": 0.0}, ["a training step changes nothing"]),
    },
)


@pytest.mark.parametrize("number", range(len(FAULTS)))
def test_one_card_that_is_wrong_is_named_and_the_others_pass(number: int, judged: Judged) -> None:
    script: dict[str, list[Mapping[str, Any]]] = {}
    for call, where, gave, _ in FAULTS[number].values():
        script.setdefault(call, []).append(gives(1, where=where, **gave))
    results = judged("gpu", **script)
    for check, (_, _, _, words) in FAULTS[number].items():
        fails(results[f"scripted.{check}[gpu1]"], *words)
        for label in ("gpu0", "gpu2"):
            passes(results[f"scripted.{check}[{label}]"])


def test_no_card_is_sound(judged: Judged) -> None:
    result = judged("fp32", train=[gives(losses=AT_THE_END, finite=False)])["scripted.fp32[gpu0]"]
    fails(result, "gpu0 gives a loss", "code for another architecture")


@pytest.mark.paddle
def test_real_workloads_see_what_is_wrong(cpu_target: Path) -> None:
    still = "broken(paddle.optimizer.Momentum, 'step', lambda real: lambda self: None)"
    infinite = "broken(paddle.nn.functional, 'cross_entropy', lambda real: lambda x, y: real(x, y) * float('inf'))"
    forgets = "broken(paddle.optimizer.Momentum, 'set_state_dict', lambda real: lambda self, state: None)"
    loses = "broken(paddle, 'load', lambda real: lambda file: {k: v * 2 if k == '4.bias' else v for k, v in real(file).items()})"
    engine = (
        "import paddle.inference as inference\nkind = paddle.base.core.PaddleInferTensor\n"
        "broken(kind, 'copy_from_cpu', lambda real: lambda self, data: real(self, data * 1.5))"
    )
    ends = "broken(workload.sys, 'executable', lambda real: '{}')"
    order = "broken(workload, 'loader', lambda real: lambda workers: list(real(workers))[1:])"
    told = sabotaged(
        cpu_target,
        {
            "right": ("", *TRAIN),
            "again": ("", *TRAIN),
            "still": (still, *TRAIN),
            "infinite": (infinite, *TRAIN),
            "resumed": ("", *RESUME),
            "stood still": (still, *RESUME),
            "forgets": (forgets, *RESUME),
            "loses": (loses, *RESUME),
            "agrees": ("", *AGREE),
            "engine": (engine, *AGREE),
            "batches": ("", *BATCHES),
            "order": (order, *BATCHES),
            "no death": (ends.format("/bin/true"), *DEATH),
            "a death": (ends.format("/bin/false"), *DEATH),
        },
    )
    assert told["right"] == told["again"]
    assert told["right"].keys() == HEALTHY["train"][0]["gives"].keys()
    assert told["right"]["losses"][-1] < 0.9 * told["right"]["losses"][0]
    assert len(set(told["still"]["losses"])) == 1
    assert (told["infinite"]["finite"], told["infinite"]["losses"][0]) == (False, None)
    assert told["resumed"].keys() == HEALTHY["resume"][0]["gives"].keys()
    assert (told["resumed"]["loaded"], told["resumed"]["stepped"]) == (0, 0)
    assert told["resumed"]["moved"] > 0.01
    assert told["stood still"]["moved"] < 1e-6
    assert told["forgets"]["stepped"] > 1e-3
    assert told["loses"]["loaded"] > 1e-6
    assert told["agrees"].keys() == HEALTHY["agree"][0]["gives"].keys()
    assert told["agrees"]["difference"] < 1e-6
    assert told["engine"]["difference"] > 0.01
    assert told["batches"]["wrong"] == []
    assert told["batches"]["batches"] == told["batches"]["expected"]
    assert told["order"]["batches"] == told["order"]["expected"] - 1
    assert "batch 0 has the items [8, 9" in told["order"]["wrong"][0]
    assert (told["no death"]["told"], told["no death"]["ended"]) == (None, "every batch came")
    assert told["a death"]["told"] == "ended with 1"
