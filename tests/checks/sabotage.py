"""Calls workloads in the target's Python, each with one thing in Paddle broken.

argv: FOLDER_OF_WORKLOADS. Each line read is JSON: {name: [statements, "gemm.matmul", arguments]}.
The statements see `paddle`, `np`, `call`, the module `workload` and `broken(owner, name, function of the real one)`.
The line that answers begins with ANSWER: {name: what came back, or {"raised": text}}.
"""

import importlib
import json
import sys

import numpy as np
import paddle

sys.path.append(sys.argv[1])
ANSWER = "answer: "


class Broken:
    """Attributes that were replaced, and what they were."""

    def __init__(self):
        self.before = []

    def __call__(self, owner, name, replaced):
        real = getattr(owner, name)
        self.before.append((owner, name, real))
        setattr(owner, name, replaced(real))

    def mend(self):
        for owner, name, real in reversed(self.before):
            setattr(owner, name, real)


def outcome(statements, call, arguments):
    broken = Broken()
    module, function = call.split(".")
    try:
        workload = importlib.import_module(module)
        exec(statements, {"paddle": paddle, "np": np, "broken": broken, "workload": workload, "call": call})
        return getattr(workload, function)(**arguments)
    except Exception as error:  # noqa: BLE001 it is what the test asks for
        return {"raised": f"{type(error).__name__}: {error}"}
    finally:
        broken.mend()


for line in sys.stdin:
    told = {name: outcome(*fault) for name, fault in json.loads(line).items()}
    print(ANSWER + json.dumps(told), flush=True)
