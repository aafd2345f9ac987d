"""The CUDA driver API by ctypes: the real return codes, which Paddle swallows."""

import ctypes


class Uuid(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_ubyte * 16)]


def probe():
    """{"library": None or why it cannot be opened, "init": code, "version": 12040, "count": n, "count_code": code, "uuids": [...]}."""
    told = {"library": None, "init": None, "version": None, "count": None, "count_code": None, "uuids": []}
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        told["library"] = str(error)
        return told
    version = ctypes.c_int()
    if cuda.cuDriverGetVersion(ctypes.byref(version)) == 0:
        told["version"] = version.value
    told["init"] = cuda.cuInit(0)
    if told["init"] != 0:
        return told
    number = ctypes.c_int()
    told["count_code"] = cuda.cuDeviceGetCount(ctypes.byref(number))
    told["count"] = number.value
    told["uuids"] = [uuid(cuda, ordinal) for ordinal in range(number.value)]
    return told


def uuid(cuda, ordinal):
    device, found = ctypes.c_int(), Uuid()
    call = getattr(cuda, "cuDeviceGetUuid_v2", None) or cuda.cuDeviceGetUuid
    if cuda.cuDeviceGet(ctypes.byref(device), ordinal) or call(ctypes.byref(found), device):
        return None
    text = bytes(found.bytes).hex()
    return "GPU-" + "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
