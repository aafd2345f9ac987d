"""CUDA libraries: which file Paddle's loader would take, whether it loads, and which ones this process has mapped."""

import ctypes
import importlib.machinery
import os
import sys
import sysconfig


def packages():
    """The real path of the site-packages that Paddle is imported from, or would be."""
    spec = importlib.machinery.PathFinder.find_spec("paddle")
    found = os.path.dirname(os.path.dirname(spec.origin)) if spec and spec.origin else sysconfig.get_paths()["platlib"]
    return os.path.realpath(found)


def load(files):
    """Open each of ``files`` (below the target, absolute, or a bare name that the loader finds).

    {file: why it does not load} of those that fail.
    """
    problems = {}
    for file in files:
        try:
            ctypes.CDLL(os.path.join(sys.prefix, file) if "/" in file else file)
        except OSError as error:
            problems[file] = str(error)
    return problems


def found(names):
    """Which file the loader takes for each of ``names``: {"site_packages": folder, "files": {name: real path or None}}.

    Paddle opens plain names: LD_LIBRARY_PATH comes first, then the RUNPATH of Paddle's own libraries, which is paddle/libs.
    None: neither has it, the system's cache decides.
    """
    search = [folder for folder in os.environ.get("LD_LIBRARY_PATH", "").split(":") if folder]
    search.append(os.path.join(packages(), "paddle", "libs"))
    files = {}
    for name in names:
        paths = [os.path.join(folder, name) for folder in search]
        files[name] = next((os.path.realpath(path) for path in paths if os.path.exists(path)), None)
    return {"site_packages": packages(), "files": files}


def mapped(families):
    """Libraries of ``families`` ("libcudnn") that this process has mapped: {"site_packages": folder, "files": real paths}."""
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
        paths = {fields[5].strip() for fields in (line.split(None, 5) for line in file) if len(fields) == 6}
    files = {os.path.realpath(path) for path in paths if ".so" in path and family(path) in families}
    return {"site_packages": packages(), "files": sorted(files)}


def family(path):
    """``libcudnn`` of libcudnn_ops_infer.so.8, ``libnvrtc`` of libnvrtc-builtins.so.11.8."""
    return os.path.basename(path).split(".so")[0].split("_")[0].split("-")[0]
