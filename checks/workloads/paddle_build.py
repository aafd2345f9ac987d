"""What the installed Paddle says of itself."""


def build():
    """Version, whether compiled with CUDA, and the CUDA and cuDNN it was built with: the string 'False' in a CPU build."""
    import paddle

    return {
        "version": paddle.__version__,
        "compiled_with_cuda": bool(paddle.is_compiled_with_cuda()),
        "cuda": str(paddle.version.cuda()),
        "cudnn": str(paddle.version.cudnn()),
    }


def cudnn():
    """The cuDNN that Paddle finds now, as a number; None when it finds none. The wrong one can abort the process."""
    import paddle

    return paddle.device.get_cudnn_version() if paddle.is_compiled_with_cuda() else None
