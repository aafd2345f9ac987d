"""SimpleCNN: forward, backward and optimizer steps on a device, compared with the same computed by NumPy in float64.

Conv2D(3, 32, 3), ReLU, MaxPool2D(2, 2), Linear(32 * 15 * 15, 10); input [1, 3, 32, 32], one label, cross-entropy loss.
Weights and input come from a fixed seed. The NumPy reference runs on the CPU and owes nothing to Paddle.
"""

import numpy as np

STEPS = 10
RATE = 1e-4  # of SGD: the loss falls in every step, and does not reach zero
LABEL = 3
FEATURES = 32 * 15 * 15


def weights():
    """float32 arrays: filters [32, 3, 3, 3], their bias [32], matrix [7200, 10], its bias [10], and the input."""
    random = np.random.RandomState(20240613)

    def draw(shape, inputs):
        return (random.standard_normal(shape) / np.sqrt(inputs)).astype("float32")

    filters, matrix = draw((32, 3, 3, 3), 27), draw((FEATURES, 10), FEATURES)
    return filters, draw((32,), 32), matrix, draw((10,), 10), random.standard_normal((1, 3, 32, 32)).astype("float32")


def convolved():
    """What the convolution gives, in float64: [32, 30, 30]; and the windows it saw: [3, 30, 30, 3, 3]."""
    filters, bias, _, _, image = (array.astype("float64") for array in weights())
    windows = np.lib.stride_tricks.sliding_window_view(image[0], (3, 3), axis=(1, 2))
    return np.einsum("cyxhw,fchw->fyx", windows, filters, optimize=True) + bias[:, None, None], windows


def blocks(planes):
    """[32, 30, 30] as the 2 x 2 blocks that are pooled: [32, 15, 15, 4]."""
    return planes.reshape(32, 15, 2, 15, 2).transpose(0, 1, 3, 2, 4).reshape(32, 15, 15, 4)


def planes(pooled):
    """The way back from ``blocks``."""
    return pooled.reshape(32, 15, 15, 2, 2).transpose(0, 1, 3, 2, 4).reshape(32, 30, 30)


def reference(seen):
    """Values and gradients of the first step, in float64.

    ``seen`` is the device's own convolution [32, 30, 30], compared elsewhere: it decides only which of four values wins a
    pooling block and what passes the ReLU. TF32 (10 bits of mantissa, the default on Ampere and later) swaps near-ties,
    and each swap would move a whole gradient to the neighbouring pixel: a false alarm.
    """
    _, _, matrix, matrix_bias, _ = (array.astype("float64") for array in weights())
    convolution, windows = convolved()
    flat = blocks(np.maximum(convolution, 0)).max(-1).reshape(-1)
    output = flat @ matrix + matrix_bias
    shares = np.exp(output - output.max())
    shares /= shares.sum()
    error = shares - np.eye(10)[LABEL]
    winners = blocks(seen).argmax(-1)[..., None]
    back = np.zeros((32, 15, 15, 4))
    np.put_along_axis(back, winners, (matrix @ error).reshape(32, 15, 15, 1), -1)
    back = planes(back) * (seen > 0)
    return {
        "convolution": convolution,
        "output": output[None],
        "loss": -np.log(shares[LABEL]),
        "conv.weight.grad": np.einsum("fyx,cyxhw->fchw", back, windows, optimize=True),
        "conv.bias.grad": back.sum((1, 2)),
        "linear.weight.grad": np.outer(flat, error),
        "linear.bias.grad": error,
    }


def difference(got, wanted):
    """Largest difference, relative to the largest value that was wanted; infinite when the shapes differ or a value is NaN."""
    got, wanted = np.asarray(got, "float64"), np.asarray(wanted, "float64")
    if got.size != wanted.size or not np.isfinite(got).all():
        return float("inf")
    return float(np.abs(got.reshape(wanted.shape) - wanted).max() / np.abs(wanted).max())


def place_of(tensor):
    place = tensor.place
    return "gpu:%d" % place.gpu_device_id() if place.is_gpu_place() else "cpu" if place.is_cpu_place() else str(place)


def unusable(device):
    """Why Paddle cannot use GPU ``device``; None when it can. Asked first: set_device would end the process."""
    import paddle

    if not paddle.is_compiled_with_cuda():
        return "the installed Paddle is a CPU build"
    count = paddle.device.cuda.device_count()
    return None if device < count else "Paddle sees %d GPUs, so it has no gpu:%d" % (count, device)


class Network:
    """The network, its four parameters by name, its input and its label, on Paddle's current device."""

    def __init__(self):
        import paddle

        filters, filter_bias, matrix, matrix_bias, image = weights()
        self.convolution, linear = paddle.nn.Conv2D(3, 32, 3), paddle.nn.Linear(FEATURES, 10)
        self.rest = paddle.nn.Sequential(paddle.nn.ReLU(), paddle.nn.MaxPool2D(2, 2), paddle.nn.Flatten(), linear)
        self.parameters = {"conv.weight": self.convolution.weight, "conv.bias": self.convolution.bias}
        self.parameters.update({"linear.weight": linear.weight, "linear.bias": linear.bias})
        for name, value in zip(self.parameters, (filters, filter_bias, matrix, matrix_bias)):  # noqa: B905 Python 3.8
            self.parameters[name].set_value(value)
        self.image, self.label = paddle.to_tensor(image), paddle.to_tensor([LABEL])
        self.loss_of = paddle.nn.functional.cross_entropy

    def forward(self):
        """{"convolution", "output", "loss"}."""
        hidden = self.convolution(self.image)
        output = self.rest(hidden)
        return {"convolution": hidden, "output": output, "loss": self.loss_of(output, self.label)}

    def values(self):
        """The parameters, copied."""
        return {name: parameter.numpy().copy() for name, parameter in self.parameters.items()}

    def first_step(self, optimizer):
        """Forward, backward, optimizer: the output's shape, where each tensor is, and the differences from NumPy's values."""
        before, tensors = self.values(), self.forward()
        tensors["loss"].backward()
        tensors.update({name + ".grad": parameter.grad for name, parameter in self.parameters.items()})
        places = {name: place_of(tensor) for name, tensor in dict(self.parameters, input=self.image, **tensors).items()}
        got = {name: tensor.numpy() for name, tensor in tensors.items()}
        expected = reference(got["convolution"][0].astype("float64"))
        optimizer.step()
        optimizer.clear_grad()
        return {
            "shape": list(tensors["output"].shape),
            "places": places,
            "differences": {name: difference(value, expected[name]) for name, value in got.items()},
            "steps": {name: difference(step, expected[name + ".grad"]) for name, step in self.moved(before).items()},
            "loss": [scalar(tensors["loss"])],
        }

    def moved(self, before):
        """What a step of SGD took from each parameter, by its rate: that is the gradient again, to three digits or so."""
        now = self.values()
        return {name: (before[name].astype("float64") - now[name]) / RATE for name in now}


def scalar(tensor):
    return float(tensor.numpy().reshape(-1)[0])


def memory_on(device):
    """Bytes that Paddle holds on a GPU."""
    import paddle

    return 0 if device == "cpu" else int(paddle.device.cuda.memory_allocated(device))


def train(device):
    """Train STEPS steps on ``device`` ("cpu" or a CUDA ordinal) and say what came of it.

    {"unusable": reason} or {"device": where it should be, "shape": of the output, "places": {tensor: where it is},
    "memory": bytes taken there, "parameter_bytes", "differences": {tensor: relative}, "steps": {parameter: relative},
    "loss": [STEPS + 1], "finite"}
    """
    import paddle

    reason = None if device == "cpu" else unusable(device)
    if reason:
        return {"unusable": reason}
    wanted = "cpu" if device == "cpu" else "gpu:%d" % device
    paddle.set_device(wanted)
    before = memory_on(device)
    network = Network()
    optimizer = paddle.optimizer.SGD(RATE, parameters=list(network.parameters.values()))
    told = dict(network.first_step(optimizer), device=wanted)
    for _ in range(STEPS):
        loss = network.forward()["loss"]
        loss.backward()
        told["loss"].append(scalar(loss))
        optimizer.step()
        optimizer.clear_grad()
    trained = list(network.values().values())
    told["finite"] = bool(np.isfinite(told["loss"]).all() and all(np.isfinite(value).all() for value in trained))
    told["parameter_bytes"] = sum(value.nbytes for value in trained)
    told["memory"] = memory_on(device) - before
    return told
