"""Paddle's DataLoader with worker processes, which pass batches through /dev/shm: right batches, and a death is told."""

import os
import signal
import subprocess
import sys
import time

import numpy as np

sys.path.append(os.path.dirname(os.path.abspath(__file__)))

from on_device import expect_there, on

BATCH, SHAPE = 8, (3, 128, 128)  # 1.5 MB a batch: four of them wait in /dev/shm
BATCHES = 12


def item(index):
    """What the data set holds at ``index``: it can be told again, so that a wrong batch shows."""
    return np.full(SHAPE, index, "float32") + np.arange(SHAPE[-1], dtype="float32") / 1024


def dataset(dies_at):
    import paddle

    class Numbers(paddle.io.Dataset):
        def __len__(self):
            return BATCH * BATCHES

        def __getitem__(self, index):
            if index == dies_at:
                os.kill(os.getpid(), signal.SIGKILL)
            return item(index), np.int64(index)

    return Numbers()


def loader(workers, dies_at=None, seconds=30):
    """``seconds``: how long the loader itself waits for a batch."""
    import paddle

    options = {"batch_size": BATCH, "num_workers": workers, "use_shared_memory": True, "timeout": seconds}
    return paddle.io.DataLoader(dataset(dies_at), shuffle=False, **options)


@on
def batches(device, workers):
    """{"batches": how many came, "expected", "wrong": [text], "seconds"}"""
    start, wrong, count = time.time(), [], 0
    for images, labels in loader(workers):
        indices = range(count * BATCH, (count + 1) * BATCH)
        expect_there("batch", images, device)
        if labels.numpy().reshape(-1).tolist() != list(indices):
            wrong.append("batch %d has the items %s" % (count, labels.numpy().reshape(-1).tolist()))
        elif not np.array_equal(images.numpy(), np.stack([item(index) for index in indices])):
            wrong.append("batch %d has other values than its items" % count)
        count += 1
    return {"batches": count, "expected": BATCHES, "wrong": wrong[:3], "seconds": time.time() - start}


def death(device, workers, seconds):  # noqa: ARG001 no card's, yet each card's worker tries at once
    """One of the workers is killed: {"told": its message, or null when every batch came or nothing did, "seconds"}

    In a process of its own on the CPU: some versions raise from a signal handler, which may end the process. That is told too.
    """
    command = [sys.executable, "-I", "-B", os.path.abspath(__file__), str(workers), str(seconds)]
    start = time.time()
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=4 * seconds + 30)
    except subprocess.TimeoutExpired:
        return {"told": None, "ended": "it still waited", "seconds": time.time() - start}
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["ended with %d" % done.returncode]
    told = None if done.returncode == 0 else " ".join(lines[-2:])
    return {"told": told, "ended": "every batch came", "seconds": time.time() - start}


def main():
    import paddle

    paddle.set_device("cpu")
    for _ in loader(int(sys.argv[1]), dies_at=BATCH * BATCHES // 2, seconds=int(sys.argv[2])):
        pass


if __name__ == "__main__":
    main()
