"""Machine code in Paddle's libraries: which compute capabilities have SASS or PTX in `.nv_fatbin`. Reads files only."""

import glob
import importlib.machinery
import mmap
import os
import struct

MAGIC = struct.pack("<I", 0xBA55ED50)
KINDS = {1: "ptx", 2: "sass"}
NOBITS = 8  # a section that takes no room in the file
HEADER = struct.Struct("<IIQQQQIIQQ")  # of a section
NAME = 64  # bytes of a section's name that are looked at


def scan():
    """Every library of Paddle that has the section: {"package": folder or None, "libraries": {path: images}}.

    images: {"sass": {"80": how many}, "ptx": {...}}. Links are NVIDIA's libraries, not Paddle's. Raises ValueError for a
    library that was cut short.
    """
    folder, libraries = package(), {}
    if folder is None:
        return {"package": None, "libraries": {}}
    for pattern in ("libs/*.so*", "base/*.so", "fluid/*.so"):
        for path in sorted(glob.glob(os.path.join(glob.escape(folder), pattern))):
            name = os.path.relpath(path, folder)
            try:
                images = None if os.path.islink(path) else read(path)
            except ValueError as error:
                raise ValueError("paddle/%s %s" % (name, error)) from error
            if images is not None:
                libraries[name] = images
    return {"package": folder, "libraries": libraries}


def package():
    """Paddle's folder, found as an import finds it but without one; None when there is none."""
    spec = importlib.machinery.PathFinder.find_spec("paddle")
    return os.path.dirname(spec.origin) if spec and spec.origin else None


def read(path):
    """The images of one library; None when it has no device code section. Raises ValueError when it was cut short."""
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size < 64:
            return None
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            if data[:6] != b"\x7fELF\x02\x01":
                return None
            places = [(at, size) for name, at, size in sections(data) if name == b".nv_fatbin"]
            found = {"sass": {}, "ptx": {}}
            for at, size in places:
                count(data, at, min(at + size, len(data)), found)
            return found if places else None


def sections(data):
    """(name, offset, size) of every section that holds bytes."""
    (table,) = struct.unpack_from("<Q", data, 0x28)
    size, number, names = struct.unpack_from("<HHH", data, 0x3A)
    if table == 0:
        return

    def header(index):
        at = table + index * size
        if at + HEADER.size > len(data):
            raise ValueError("is not a whole ELF file: it ends before byte %d, a section header" % at)
        return HEADER.unpack_from(data, at)

    if number == 0:
        number = header(0)[5]
    if names == 0xFFFF:
        names = header(0)[6]
    strings = header(names)[4]
    for index in range(number):
        entry = header(index)
        if entry[1] != NOBITS:
            start = strings + entry[0]
            yield data[start : start + NAME].partition(b"\0")[0], entry[4], entry[5]


def count(data, at, end, found):
    """Jump from fat binary to fat binary, and in each from image to image."""
    while at >= 0 and at + 16 <= end:
        if data[at : at + 4] != MAGIC:
            at = data.find(MAGIC, at + 1, end)
            continue
        header, size = struct.unpack_from("<HQ", data, at + 6)
        image, last = at + header, min(at + header + size, end)
        while image + 32 <= last:
            kind, _, length, payload = struct.unpack_from("<HHIQ", data, image)
            (capability,) = struct.unpack_from("<I", data, image + 28)
            if length < 32:
                break
            if kind in KINDS:
                images = found[KINDS[kind]]
                images[str(capability)] = images.get(str(capability), 0) + 1
            image += length + payload
        at = max(last, at + 16)
