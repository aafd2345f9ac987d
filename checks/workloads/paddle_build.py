"""What the installed Paddle says of itself."""


def build():
    """Version, whether compiled with CUDA, the CUDA and cuDNN it was built with, and the cuDNN it finds now.

    ``version.cuda()`` is the string 'False' in a CPU build. ``cudnn_runtime`` is None when Paddle finds no cuDNN.
    """
    import paddle

    compiled = bool(paddle.is_compiled_with_cuda())
    return {
        "version": paddle.__version__,
        "compiled_with_cuda": compiled,
        "cuda": str(paddle.version.cuda()),
        "cudnn": str(paddle.version.cudnn()),
        "cudnn_runtime": paddle.device.get_cudnn_version() if compiled else None,
    }
