"""The CUDA driver API by ctypes: the real return codes, which Paddle swallows."""

import ctypes


class Uuid(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_ubyte * 16)]


def probe():
    """What the driver answers, as far as it could be asked; None for what was not reached.

    {"library": why libcuda.so.1 cannot be opened, "version": 12040, "init": code, "count_code": code, "count": number,
    "says": the driver's own name of a code that is not 0, "gpus": [{"uuid": or None, "name": or None}] in CUDA's order}
    """
    told = dict.fromkeys(("library", "version", "init", "count_code", "count", "says"))
    told["gpus"] = []
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        told["library"] = str(error)
        return told
    number = ctypes.c_int()
    if cuda.cuDriverGetVersion(ctypes.byref(number)) == 0:
        told["version"] = number.value
    told["init"] = cuda.cuInit(0)
    if told["init"] == 0:
        told["count_code"] = cuda.cuDeviceGetCount(ctypes.byref(number))
        if told["count_code"] == 0:
            told["count"] = number.value
            told["gpus"] = [gpu(cuda, ordinal) for ordinal in range(number.value)]
    told["says"] = said(cuda, told["init"] or told["count_code"] or 0)
    return told


def said(cuda, code):
    text = ctypes.c_char_p()
    if code == 0 or cuda.cuGetErrorName(code, ctypes.byref(text)) or not text.value:
        return None
    return text.value.decode("ascii", "replace")


def gpu(cuda, ordinal):
    device, uuid, name = ctypes.c_int(), Uuid(), ctypes.create_string_buffer(256)
    told = {"uuid": None, "name": None}
    if cuda.cuDeviceGet(ctypes.byref(device), ordinal) == 0:
        identify = getattr(cuda, "cuDeviceGetUuid_v2", None) or cuda.cuDeviceGetUuid
        if identify(ctypes.byref(uuid), device) == 0:
            told["uuid"] = written(bytes(uuid.bytes).hex())
        if cuda.cuDeviceGetName(name, len(name), device) == 0:
            told["name"] = name.value.decode("utf-8", "replace")
    return told


def written(digits):
    """As NVML writes it: GPU-8-4-4-4-12."""
    return "GPU-" + "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
