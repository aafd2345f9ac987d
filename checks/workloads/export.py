"""A network is exported (jit.save) and run by the inference engine: same results as the live one."""

import os
import shutil
import sys
import tempfile

import numpy as np

sys.path.append(os.path.dirname(os.path.abspath(__file__)))

from on_device import difference, expect_there, on
from residual import examples, seeded

MEMORY = 256  # MB that the engine may take ahead on a GPU
PROGRAMS = ("net.json", "net.pdmodel")  # of 3.x, of 2.6


@on
def agree(device, seed):
    """{"difference": largest, relative to the largest live output, "files": names, "shape", "wanted"}"""
    folder = tempfile.mkdtemp(prefix="paddle-bootstrap-")
    try:
        images, live = exported(os.path.join(folder, "net"), seed, device)
        files = sorted(os.listdir(folder))
        found = predicted(folder, files, images, device)
        apart = min(difference(found, live), 1e30)
        return {"difference": apart, "files": files, "shape": list(np.shape(found)), "wanted": list(live.shape)}
    finally:
        shutil.rmtree(folder)


def exported(path, seed, device):
    """The images, and what the live network makes of them."""
    import paddle

    net, (images, _) = seeded(seed), examples(seed)
    net.eval()
    with paddle.no_grad():
        live = net(images)
    expect_there("output", live, device)
    spec = paddle.static.InputSpec([None, *images.shape[1:]], "float32", "images")
    paddle.jit.save(net, path, input_spec=[spec])
    return images.numpy(), live.numpy()


def predicted(folder, files, images, device):
    import paddle.inference as inference

    program = next(name for name in PROGRAMS if name in files)
    config = inference.Config(os.path.join(folder, program), os.path.join(folder, "net.pdiparams"))
    config.disable_glog_info()
    if device == "cpu":
        config.disable_gpu()
    else:
        config.enable_use_gpu(MEMORY, device)
    predictor = inference.create_predictor(config)
    entry = predictor.get_input_handle(predictor.get_input_names()[0])
    entry.reshape(images.shape)
    entry.copy_from_cpu(images)
    predictor.run()
    return predictor.get_output_handle(predictor.get_output_names()[0]).copy_to_cpu()
