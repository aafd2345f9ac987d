"""The CUDA driver API by ctypes: one card, its memory, its clock and our own kernels. No framework, no CUDA toolkit.

`told` turns what a function returns or meets into what a check reads: a CUDA error is data ({"error": ...}), since its code
says more than a traceback; else it says which card it was. An error can leave the process useless for CUDA; the harness then
takes a fresh one.
"""

import contextlib
import ctypes
import functools
import os
import uuid
from ctypes import POINTER, c_char_p, c_float, c_int, c_size_t, c_uint, c_ulonglong, c_void_p

HERE = os.path.dirname(os.path.abspath(__file__))
MULTIPROCESSORS, MINOR, MAJOR = 16, 76, 75  # CUdevice_attribute
PERFORMANCE_RANK = 1  # CUdevice_P2PAttribute: 0 for the best way, more for worse ones, such as fewer NVLinks
NATIVE_ATOMICS = 3  # CUdevice_P2PAttribute: over NVLink only
OUT_OF_MEMORY, ALREADY_ENABLED = 2, 704
PORTABLE = 1
ERROR_LOG, ERROR_LOG_BYTES = 5, 6  # CUjit_option
ADDRESS, HANDLE, OUT = c_ulonglong, c_void_p, POINTER(c_void_p)
GRID, BLOCK = 4096, 256  # of every kernel: blocks, and threads of each; the same on all cards, so that results compare

SIGNATURES = {
    "cuInit": (c_uint,),
    "cuDeviceGet": (POINTER(c_int), c_int),
    "cuDeviceGetAttribute": (POINTER(c_int), c_int, c_int),
    "cuDeviceGetPCIBusId": (c_char_p, c_int, c_int),
    "cuDeviceGetUuid": (c_char_p, c_int),
    "cuDeviceCanAccessPeer": (POINTER(c_int), c_int, c_int),
    "cuDeviceGetP2PAttribute": (POINTER(c_int), c_int, c_int, c_int),
    "cuDevicePrimaryCtxRetain": (OUT, c_int),
    "cuDevicePrimaryCtxRelease_v2": (c_int,),
    "cuCtxSetCurrent": (HANDLE,),
    "cuCtxSynchronize": (),
    "cuCtxEnablePeerAccess": (HANDLE, c_uint),
    "cuMemGetInfo_v2": (POINTER(c_size_t), POINTER(c_size_t)),
    "cuMemAlloc_v2": (POINTER(ADDRESS), c_size_t),
    "cuMemFree_v2": (ADDRESS,),
    "cuMemHostAlloc": (OUT, c_size_t, c_uint),
    "cuMemFreeHost": (HANDLE,),
    "cuMemsetD8_v2": (ADDRESS, ctypes.c_ubyte, c_size_t),
    "cuMemcpyHtoD_v2": (ADDRESS, c_void_p, c_size_t),
    "cuMemcpyDtoH_v2": (c_void_p, ADDRESS, c_size_t),
    "cuMemcpyHtoDAsync_v2": (ADDRESS, c_void_p, c_size_t, HANDLE),
    "cuMemcpyDtoHAsync_v2": (c_void_p, ADDRESS, c_size_t, HANDLE),
    "cuMemcpyDtoDAsync_v2": (ADDRESS, ADDRESS, c_size_t, HANDLE),
    "cuMemcpyPeerAsync": (ADDRESS, HANDLE, ADDRESS, HANDLE, c_size_t, HANDLE),
    "cuEventCreate": (OUT, c_uint),
    "cuEventRecord": (HANDLE, HANDLE),
    "cuEventSynchronize": (HANDLE,),
    "cuEventElapsedTime": (POINTER(c_float), HANDLE, HANDLE),
    "cuEventDestroy_v2": (HANDLE,),
    "cuModuleLoadDataEx": (OUT, c_char_p, c_uint, POINTER(c_int), OUT),
    "cuModuleGetFunction": (OUT, HANDLE, c_char_p),
    "cuModuleUnload": (HANDLE,),
    "cuLaunchKernel": (HANDLE,) + (c_uint,) * 7 + (HANDLE, OUT, OUT),
    "cuGetErrorName": (c_int, POINTER(c_char_p)),
}


class CudaError(Exception):
    """A call of the driver's failed. ``code`` None: it could not even be made."""

    def __init__(self, code, name, call, says=""):
        super().__init__("%s: %s (%s)%s" % (call, code, name, ": " + says if says else ""))
        self.code, self.name, self.call, self.says = code, name, call, says


@functools.lru_cache(maxsize=None)
def library():
    try:
        return ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        raise CudaError(None, "the library cannot be opened", "libcuda.so.1", str(error)) from error


@functools.lru_cache(maxsize=None)
def function(name):
    try:
        found = getattr(library(), name)
    except AttributeError as error:
        raise CudaError(None, "this driver does not have it", name, str(error)) from error
    found.argtypes, found.restype = SIGNATURES[name], c_int
    return found


def call(name, *arguments):
    """Call the driver. Raises CudaError for whatever is not success."""
    code = function(name)(*arguments)
    if code:
        raise CudaError(code, name_of(code), name)


def name_of(code):
    text = c_char_p()
    if function("cuGetErrorName")(code, ctypes.byref(text)) or not text.value:
        return "a code that the driver does not know"
    return text.value.decode("ascii", "replace")


def got(name, kind, *arguments):
    """The value that ``name`` writes to its first argument, one of ``kind``."""
    value = kind()
    call(name, ctypes.byref(value), *arguments)
    return value


def told(workload):
    """Gives the value of ``workload(device, ...)`` as {..., "error": None, "uuid": of the card that did it}, and a CUDA error
    as {"error": code, name, call, says}."""

    @functools.wraps(workload)
    def answer(device, *arguments, **named):
        try:
            return dict(workload(device, *arguments, **named), error=None, uuid=Card(device).uuid())
        except CudaError as error:
            return {"error": {"code": error.code, "name": error.name, "call": error.call, "says": error.says}}

    return answer


class Card:
    """One card in use: ``with Card(ordinal) as card``. At the end all that was taken of it is given back."""

    def __init__(self, ordinal):
        call("cuInit", 0)
        self.device = got("cuDeviceGet", c_int, ordinal).value
        self._undo = contextlib.ExitStack()
        self._functions = {}

    def __enter__(self):
        self.context = got("cuDevicePrimaryCtxRetain", c_void_p, self.device)
        self._undo.callback(call, "cuDevicePrimaryCtxRelease_v2", self.device)
        self.use()
        return self

    def __exit__(self, kind, error, trace):
        """Gives everything back; after an error that may fail too, and the first error is the one to tell."""
        undo = self._undo.pop_all()
        undo.callback(self.use)  # called first
        try:
            undo.close()
        except CudaError:
            if kind is None:
                raise

    def use(self):
        """Calls that name no card mean this one from here on."""
        call("cuCtxSetCurrent", self.context)

    def attribute(self, number):
        return got("cuDeviceGetAttribute", c_int, number, self.device).value

    def address(self):
        """PCI address, as "0000:3b:00.0"."""
        text = ctypes.create_string_buffer(32)
        call("cuDeviceGetPCIBusId", text, len(text), self.device)
        return text.value.decode("ascii").lower()

    def uuid(self):
        """As NVML writes it: GPU-8-4-4-4-12; of a slice, that of its card or its own."""
        raw = ctypes.create_string_buffer(16)
        call("cuDeviceGetUuid", raw, self.device)
        return "GPU-%s" % uuid.UUID(bytes=raw.raw)

    def free(self):
        """Bytes that nobody uses, and all."""
        free, total = c_size_t(), c_size_t()
        call("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
        return free.value, total.value

    def memory(self, size):
        """``size`` bytes of the card's."""
        taken = got("cuMemAlloc_v2", ADDRESS, size)
        self._undo.callback(call, "cuMemFree_v2", taken)
        return taken.value

    def most(self, wanted, chunk, least):
        """Up to ``wanted`` bytes, as [(address, size)] of at most ``chunk``, while there are ``least`` in one piece."""
        found, left = [], wanted
        while left >= least and chunk >= least:
            size = min(chunk, left)
            try:
                found.append((self.memory(size), size))
                left -= size
            except CudaError as error:
                if error.code != OUT_OF_MEMORY:
                    raise
                chunk = size // 2 // least * least
        return found

    def pinned(self, size):
        """``size`` bytes of the host's that the card reads and writes by itself."""
        taken = got("cuMemHostAlloc", c_void_p, size, PORTABLE)
        self._undo.callback(call, "cuMemFreeHost", taken)
        return taken.value

    def event(self):
        made = got("cuEventCreate", c_void_p, 0)
        self._undo.callback(call, "cuEventDestroy_v2", made)
        return made

    def launch(self, name, *arguments, blocks=GRID):
        """Start a kernel of kernels.ptx; ``arguments`` are ctypes values."""
        if not self._functions:
            self._load()
        pointers = (c_void_p * max(len(arguments), 1))(*[ctypes.addressof(value) for value in arguments])
        call("cuLaunchKernel", self._functions[name], blocks, 1, 1, BLOCK, 1, 1, 0, None, pointers, None)

    def _load(self):
        """Have the driver translate the kernels for this card; what its compiler says goes into the error."""
        with open(os.path.join(HERE, "kernels.ptx"), "rb") as file:
            text = file.read()
        log = ctypes.create_string_buffer(4096)
        options = (c_int * 2)(ERROR_LOG, ERROR_LOG_BYTES)
        values = (c_void_p * 2)(ctypes.addressof(log), len(log))
        try:
            module = got("cuModuleLoadDataEx", c_void_p, text, 2, options, values)
        except CudaError as error:
            said = log.value.decode("utf-8", "replace").strip()
            raise CudaError(error.code, error.name, error.call, said) from error
        self._undo.callback(call, "cuModuleUnload", module)
        for name in ("fill", "verify", "integers", "floats", "nothing"):
            self._functions[name] = got("cuModuleGetFunction", c_void_p, module, name.encode())

    def wait(self):
        """Until the card has done all that it was given: errors of kernels come to light here."""
        call("cuCtxSynchronize")

    def timed(self, work, times, seconds):
        """Seconds that ``work()`` takes on the card: ``times`` values, fewer when ``seconds`` are over, at least one."""
        begin, end = self.event(), self.event()
        found = []
        while not found or (len(found) < times and sum(found) < seconds):
            call("cuEventRecord", begin, None)
            work()
            call("cuEventRecord", end, None)
            call("cuEventSynchronize", end)
            found.append(got("cuEventElapsedTime", c_float, begin, end).value / 1e3)
        return found
