"""SimpleCNN: forward, backward and optimizer steps on a device, compared with the same computed by NumPy in float64.

Conv2D(3, 32, 3), ReLU, MaxPool2D(2, 2), Linear(32 * 15 * 15, 10); input [1, 3, 32, 32], one label, cross-entropy loss. Weights and
input come from a fixed seed. The NumPy reference runs on the CPU and owes nothing to Paddle.
"""

import numpy as np

STEPS = 10
RATE = 1e-4  # of SGD: the loss falls in every step, and does not reach zero
LABEL = 3


def weights():
    """float32 arrays: filters [32, 3, 3, 3], their bias [32], matrix [7200, 10], its bias [10], and the input."""
    random = np.random.RandomState(20240613)

    def draw(shape, inputs):
        return (random.standard_normal(shape) / np.sqrt(inputs)).astype("float32")

    filters, matrix = draw((32, 3, 3, 3), 27), draw((32 * 15 * 15, 10), 32 * 15 * 15)
    return filters, draw((32,), 32), matrix, draw((10,), 10), random.standard_normal((1, 3, 32, 32)).astype("float32")


def reference():
    """Output, loss and gradients of the first step, in float64."""
    filters, filter_bias, matrix, matrix_bias, image = (array.astype("float64") for array in weights())
    windows = np.lib.stride_tricks.sliding_window_view(image[0], (3, 3), axis=(1, 2))
    convolved = np.einsum("cyxhw,fchw->fyx", windows, filters, optimize=True) + filter_bias[:, None, None]
    active = np.maximum(convolved, 0)
    blocks = active.reshape(32, 15, 2, 15, 2).transpose(0, 1, 3, 2, 4).reshape(32, 15, 15, 4)
    winner = blocks.argmax(-1)
    flat = blocks.max(-1).reshape(-1)
    output = flat @ matrix + matrix_bias
    shifted = np.exp(output - output.max())
    share = shifted / shifted.sum()
    error = share - np.eye(10)[LABEL]
    back = (matrix @ error).reshape(32, 15, 15)
    spread = np.zeros((32, 15, 15, 4))
    np.put_along_axis(spread, winner[..., None], back[..., None], -1)
    spread = spread.reshape(32, 15, 15, 2, 2).transpose(0, 1, 3, 2, 4).reshape(32, 30, 30) * (convolved > 0)
    gradients = {
        "conv.weight": np.einsum("fyx,cyxhw->fchw", spread, windows, optimize=True),
        "conv.bias": spread.sum((1, 2)),
        "linear.weight": np.outer(flat, error),
        "linear.bias": error,
    }
    return output[None], -np.log(share[LABEL]), gradients


def difference(got, wanted):
    """Largest difference, relative to the largest value that was wanted."""
    return float(np.abs(got.astype("float64") - wanted).max() / max(np.abs(wanted).max(), 1e-12))


def place_of(tensor):
    place = tensor.place
    return "gpu:%d" % place.gpu_device_id() if place.is_gpu_place() else "cpu" if place.is_cpu_place() else str(place)


def usable(device):
    """Why Paddle cannot use GPU ``device``; None when it can. Asked first: set_device would end the process."""
    import paddle

    if not paddle.is_compiled_with_cuda():
        return "the installed Paddle is a CPU build"
    count = paddle.device.cuda.device_count()
    return None if device < count else "Paddle sees %d GPUs, so it has no gpu:%d" % (count, device)


def train(device):
    """Train STEPS steps on ``device`` ("cpu" or a CUDA ordinal) and say what came of it.

    {"unusable": reason} or {"device", "shape", "places": {name: place}, "memory": bytes, "differences": {name: relative},
    "loss": [STEPS + 1], "finite": bool}
    """
    import paddle

    if device != "cpu":
        reason = usable(device)
        if reason:
            return {"unusable": reason}
    paddle.set_device("cpu" if device == "cpu" else "gpu:%d" % device)
    filters, filter_bias, matrix, matrix_bias, image = weights()
    model = paddle.nn.Sequential(
        paddle.nn.Conv2D(3, 32, 3), paddle.nn.ReLU(), paddle.nn.MaxPool2D(2, 2), paddle.nn.Flatten(), paddle.nn.Linear(7200, 10)
    )
    named = {"conv.weight": model[0].weight, "conv.bias": model[0].bias}
    named.update({"linear.weight": model[4].weight, "linear.bias": model[4].bias})
    for parameter, value in zip(named.values(), (filters, filter_bias, matrix, matrix_bias)):
        parameter.set_value(value)
    optimizer = paddle.optimizer.SGD(RATE, parameters=model.parameters())
    x, label = paddle.to_tensor(image), paddle.to_tensor([LABEL])
    wanted_output, wanted_loss, wanted_gradients = reference()
    losses, places, differences = [], {}, {}
    for step in range(STEPS + 1):
        output = model(x)
        loss = paddle.nn.functional.cross_entropy(output, label)
        losses.append(float(loss.numpy().reshape(-1)[0]))
        if step == STEPS:
            break
        loss.backward()
        if step == 0:
            differences = {"output": difference(output.numpy(), wanted_output), "loss": abs(losses[0] - float(wanted_loss))}
            places = {"input": place_of(x), "output": place_of(output), "loss": place_of(loss)}
            for name, parameter in named.items():
                places[name], places[name + ".grad"] = place_of(parameter), place_of(parameter.grad)
                differences[name + ".grad"] = difference(parameter.grad.numpy(), wanted_gradients[name])
            shape = list(output.shape)
        optimizer.step()
        optimizer.clear_grad()
    values = [parameter.numpy() for parameter in named.values()]
    return {
        "device": "cpu" if device == "cpu" else "gpu:%d" % device,
        "shape": shape,
        "places": places,
        "memory": 0 if device == "cpu" else paddle.device.cuda.max_memory_allocated(device),
        "differences": differences,
        "loss": losses,
        "finite": bool(np.isfinite(losses).all() and all(np.isfinite(value).all() for value in values)),
    }
