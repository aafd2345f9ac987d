"""What the installed Paddle says of itself, what is installed beside it, and which CUDA libraries the process has mapped."""

import csv
import ctypes
import glob
import os
import re
import sysconfig


def distributions():
    """{"found": {name: version}, "site_packages": folder}, from the names of .dist-info folders; names normalised."""
    folder = sysconfig.get_paths()["platlib"]
    found = {}
    for path in glob.glob(os.path.join(folder, "*.dist-info")):
        name, _, version = os.path.basename(path)[: -len(".dist-info")].rpartition("-")
        found[re.sub(r"[-_.]+", "-", name).lower()] = version
    return {"found": found, "site_packages": folder}


def changed_files(package):
    """Files of ``package`` whose size differs from its RECORD, or that are gone: [[path, recorded size, size or None]]."""
    folder = sysconfig.get_paths()["platlib"]
    wanted = re.sub(r"[-_.]+", "_", package)
    records = glob.glob(os.path.join(folder, wanted + "-*.dist-info", "RECORD"))
    if not records:
        return {"record": None, "files": 0, "changed": []}
    changed, number = [], 0
    with open(records[0], newline="", encoding="utf-8") as file:
        for row in csv.reader(file):
            if len(row) == 3 and row[2]:
                number += 1
                path = os.path.join(folder, row[0])
                size = os.path.getsize(path) if os.path.exists(path) else None
                if size != int(row[2]):
                    changed.append([row[0], int(row[2]), size])
    return {"record": records[0], "files": number, "changed": changed}


def build():
    """What ``import paddle`` says: version, compiled with CUDA, CUDA and cuDNN versions, and cuDNN at run time."""
    import paddle

    compiled = paddle.is_compiled_with_cuda()
    return {
        "file": getattr(paddle, "__file__", None),
        "version": paddle.__version__,
        "compiled_with_cuda": bool(compiled),
        "cuda": str(paddle.version.cuda()),
        "cudnn": str(paddle.version.cudnn()),
        "cudnn_runtime": paddle.device.get_cudnn_version() if compiled else None,
    }


def load(names):
    """Open each of ``names`` (paths below the environment's site-packages parent): {name: None or why it does not load}."""
    prefix = os.path.dirname(os.path.dirname(os.path.dirname(sysconfig.get_paths()["platlib"])))
    problems = {}
    for name in names:
        try:
            ctypes.CDLL(os.path.join(prefix, name))
        except OSError as error:
            problems[name] = str(error)
    return problems


def mapped():
    """Files of CUDA libraries that this process has mapped: real paths, sorted; and the real path of site-packages."""
    pattern = re.compile(r"/lib(cudnn|cublas|cudart|cufft|curand|cusolver|cusparse|cupti|nvrtc|nccl|nvToolsExt|nvjpeg|nvJitLink)[^/]*\.so")
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
        paths = {line.split(None, 5)[5].strip() for line in file if len(line.split(None, 5)) == 6}
    found = sorted({os.path.realpath(path) for path in paths if pattern.search(path)})
    return {"libraries": found, "site_packages": os.path.realpath(sysconfig.get_paths()["platlib"])}
