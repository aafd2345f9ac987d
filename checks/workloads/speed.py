"""Images per second of whole training steps: forward, loss, backward, optimizer. Random images, float16 by AMP on a GPU.

"simple": the tutorials' network (one convolution), which asks how fast Python and the driver launch small kernels.
"resnet50": paddle.vision's ResNet-50, which asks for convolutions, memory and all between.
"""

import os
import sys
import time

import numpy as np

sys.path.append(os.path.dirname(os.path.abspath(__file__)))

from on_device import expect_there, on, scalar, wait


def simple(pixels):
    import paddle

    nn = paddle.nn
    side = (pixels - 2) // 2
    return nn.Sequential(
        nn.Conv2D(3, 32, 3), nn.ReLU(), nn.MaxPool2D(2, 2), nn.Flatten(), nn.Linear(32 * side * side, 10)
    )


def resnet50(_):
    import paddle

    return paddle.vision.models.resnet50(num_classes=1000)


NETWORKS = {"simple": simple, "resnet50": resnet50}


def steps(network, batch, pixels, device, seed):
    """A function that takes one training step and returns its loss."""
    import paddle

    random = np.random.default_rng(seed)
    net = NETWORKS[network](pixels)
    images = paddle.to_tensor(random.standard_normal((batch, 3, pixels, pixels), dtype="float32"))
    labels = paddle.to_tensor(random.integers(0, 10, (batch,)).astype("int64"))
    optimizer = paddle.optimizer.Momentum(1e-3, parameters=net.parameters())
    scaler = paddle.amp.GradScaler(enable=device != "cpu", init_loss_scaling=1024.0)
    expect_there("first parameter", net.parameters()[0], device)

    def step():
        with paddle.amp.auto_cast(enable=device != "cpu"):
            loss = paddle.nn.functional.cross_entropy(net(images), labels)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.clear_grad()
        return loss

    return step


@on
def images(device, network, batch, pixels, seconds, warm_up, seed):
    """{"images_per_second": median over bursts of steps, "steps": bursts, "loss": None when it is not finite}"""
    step = steps(network, batch, pixels, device, seed)
    timed(step, device, warm_up)
    samples = timed(step, device, seconds)
    loss = scalar(step())
    return {
        "images_per_second": batch / float(np.median(samples)),
        "steps": len(samples),
        "loss": loss if np.isfinite(loss) else None,
    }


def timed(step, device, seconds, burst=0.2):
    """Seconds of one step, for ``seconds`` long; each is the mean of ``burst`` seconds of steps."""
    wait(device)
    samples, count, end = [], 1, time.perf_counter() + seconds
    while time.perf_counter() < end or not samples:
        start = time.perf_counter()
        for _ in range(count):
            step()
        wait(device)
        took = (time.perf_counter() - start) / count
        samples.append(took)
        count = max(1, int(burst / took))
    return samples
