"""A small residual network that trains on a device; and the same after its state was saved and loaded again.

Two blocks of convolutions, batch normalisation and a shortcut, on 16 images of 3 x 24 x 24 that stay the same: it learns
them by heart, so the loss must fall. Deterministic algorithms are asked for, and the seeds are fixed: equal cards give
equal losses, to the last bit as far as we know.
"""

import os
import shutil
import sys
import tempfile

import numpy as np

sys.path.append(os.path.dirname(os.path.abspath(__file__)))

from on_device import expect_there, flag, on, scalar

IMAGES, CLASSES, WIDTH = 16, 10, 16
RATE = 0.05


def network():
    import paddle

    nn = paddle.nn

    class Block(nn.Layer):
        def __init__(self, entering, leaving, stride):
            super(Block, self).__init__()
            self.body = nn.Sequential(
                nn.Conv2D(entering, leaving, 3, stride=stride, padding=1, bias_attr=False),
                nn.BatchNorm2D(leaving),
                nn.ReLU(),
                nn.Conv2D(leaving, leaving, 3, padding=1, bias_attr=False),
                nn.BatchNorm2D(leaving),
            )
            self.shortcut = nn.Conv2D(entering, leaving, 1, stride=stride)
            self.last = nn.ReLU()  # jit.save reads this source again (2.6): no name from around it

        def forward(self, x):
            return self.last(self.body(x) + self.shortcut(x))

    pooled = nn.AdaptiveAvgPool2D(1), nn.Flatten(), nn.Linear(2 * WIDTH, CLASSES)
    return nn.Sequential(Block(3, WIDTH, 1), Block(WIDTH, 2 * WIDTH, 2), *pooled)


def seeded(seed):
    """A network whose parameters NumPy drew: Paddle's own generator differs by device and version."""
    random = np.random.RandomState(seed)
    net = network()
    for parameter in net.parameters():
        if len(parameter.shape) > 1:
            inputs = int(np.prod(parameter.shape[1:] if len(parameter.shape) == 4 else parameter.shape[:1]))
            drawn = random.standard_normal(parameter.shape) * np.sqrt(2.0 / inputs)
            parameter.set_value(drawn.astype("float32"))
    return net


def examples(seed):
    import paddle

    random = np.random.RandomState(seed + 1)
    images = random.standard_normal((IMAGES, 3, 24, 24)).astype("float32")
    return paddle.to_tensor(images), paddle.to_tensor(random.randint(0, CLASSES, (IMAGES,)).astype("int64"))


class Training:
    """A network, its optimizer and what a step does. ``amp``: "float16", "bfloat16" or None."""

    def __init__(self, seed, amp=None):
        import paddle

        self.net, (self.images, self.labels), self.amp = seeded(seed), examples(seed), amp
        parameters = self.net.parameters()
        self.optimizer = paddle.optimizer.Momentum(RATE, momentum=0.9, parameters=parameters)
        self.scaler = paddle.amp.GradScaler(init_loss_scaling=1024.0) if amp == "float16" else None

    def step(self):
        """The loss before the step."""
        import paddle

        with self.cast():
            loss = paddle.nn.functional.cross_entropy(self.net(self.images), self.labels)
        if self.scaler:
            self.scaler.scale(loss).backward()
            self.scaler.step(self.optimizer)
            self.scaler.update()
        else:
            loss.backward()
            self.optimizer.step()
        self.optimizer.clear_grad()
        return loss

    def computed(self):
        """The type of a convolution's result: AMP that is refused goes on in float32, with a warning at most."""
        with self.cast():
            return str(self.net[0].shortcut(self.images).dtype).split(".")[-1]

    def cast(self):
        import paddle

        return paddle.amp.auto_cast(enable=self.amp is not None, dtype=self.amp or "float16")

    def values(self):
        """The network's parameters, and what batch normalisation counted."""
        return [value.astype("float32").numpy().copy() for value in self.net.state_dict().values()]

    def parameters(self):
        """Those that the optimizer moves: batch normalisation counts its means among the parameters, too."""
        return [value.numpy().copy() for value in self.net.parameters() if not value.stop_gradient]


@on
def train(device, steps, seed, amp=None):
    """{"losses": [steps], "finite": whether losses and parameters are (a loss that is not: None), "computed": the type
    that a convolution really gave}
    """
    with flag("FLAGS_cudnn_deterministic", True):
        training = Training(seed, amp)
        found = [training.step() for _ in range(steps)]
        expect_there("loss", found[-1], device)
        expect_there("first parameter", training.net.parameters()[0], device)
        losses = [scalar(loss) for loss in found]
        finite = bool(np.isfinite(losses).all() and all(np.isfinite(value).all() for value in training.values()))
        told = [loss if np.isfinite(loss) else None for loss in losses]
        return {"losses": told, "finite": finite, "computed": training.computed()}


@on
def resume(device, steps, seed):  # noqa: ARG001 the decorator places it
    """Train, save, train one step more; load into a new network and a new optimizer, and take the same step.

    {"loaded": largest difference of a parameter after loading, "stepped": the same after the step, "moved": largest
    change of a parameter by that step, "bytes": on disk}
    """
    folder = tempfile.mkdtemp(prefix="paddle-bootstrap-")
    try:
        with flag("FLAGS_cudnn_deterministic", True):
            files = [os.path.join(folder, name) for name in ("net.pdparams", "net.pdopt")]
            return resumed(files, steps, seed)
    finally:
        shutil.rmtree(folder)


def resumed(files, steps, seed):
    import paddle

    with paddle.utils.unique_name.guard():  # an optimizer knows its state by names that are counted
        first = Training(seed)
        for _ in range(steps):
            first.step()
    paddle.save(first.net.state_dict(), files[0])
    paddle.save(first.optimizer.state_dict(), files[1])
    saved, before = first.values(), first.parameters()
    with paddle.utils.unique_name.guard():
        second = Training(seed + 100)
        second.images, second.labels = first.images, first.labels
        second.net.set_state_dict(paddle.load(files[0]))
        second.optimizer.set_state_dict(paddle.load(files[1]))
        loaded = second.values()
        second.step()
    first.step()
    return {
        "loaded": apart(saved, loaded),
        "stepped": apart(first.values(), second.values()),
        "moved": apart(before, first.parameters()),
        "bytes": sum(map(os.path.getsize, files)),
    }


def apart(left, right):
    """Largest difference between two networks' values."""
    differences = [np.abs(one - other).max() for one, other in zip(left, right)]  # noqa: B905 Python 3.8
    return float(np.nan_to_num(max(differences), nan=1e30, posinf=1e30))
