"""From a bare Linux host to a PaddlePaddle environment that is proved to train on its GPUs."""

__version__ = "0.1.0"
