"""Machine code in Paddle's libraries: which compute capabilities have SASS or PTX in `.nv_fatbin`. Reads files only."""

import glob
import mmap
import os
import struct
import sysconfig

MAGIC = 0xBA55ED50
PTX, SASS = 1, 2


def scan():
    """{"package": folder or None, "libraries": {name: {"sass": {"80": images}, "ptx": {...}}}}: every library with the section."""
    folder = os.path.join(sysconfig.get_paths()["platlib"], "paddle")
    found = {}
    for pattern in ("libs/*.so*", "base/*.so", "fluid/*.so"):
        for path in sorted(glob.glob(os.path.join(folder, pattern))):
            if not os.path.islink(path):
                images = read(path)
                if images is not None:
                    found[os.path.relpath(path, folder)] = images
    return {"package": folder if os.path.isdir(folder) else None, "libraries": found}


def read(path):
    """{"sass": {capability: images}, "ptx": ...} of one library; None when it has no device code section."""
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size < 64:
            return None
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            if data[:6] != b"\x7fELF\x02\x01":
                return None
            places = [(at, size) for name, at, size in sections(data) if name in (".nv_fatbin", "__nv_relfatbin")]
            if not places:
                return None
            found = {"sass": {}, "ptx": {}}
            for at, size in places:
                count(data, at, at + size, found)
            return found


def sections(data):
    """(name, offset, size) of every section that holds bytes."""
    (table,) = struct.unpack_from("<Q", data, 0x28)
    size, number, names = struct.unpack_from("<HHH", data, 0x3A)

    def header(index):
        return struct.unpack_from("<IIQQQQIIQQ", data, table + index * size)

    if number == 0:
        number = header(0)[5]
    if names == 0xFFFF:
        names = header(0)[6]
    strings = header(names)[4]
    for index in range(number):
        entry = header(index)
        start = strings + entry[0]
        if entry[1] != 8:  # SHT_NOBITS
            yield data[start : data.find(b"\0", start)].decode("ascii", "replace"), entry[4], entry[5]


def count(data, at, end, found):
    """Jump from fat binary to fat binary, and in each from image to image."""
    while at + 16 <= end:
        magic, _, header, size = struct.unpack_from("<IHHQ", data, at)
        if magic != MAGIC:
            at = data.find(struct.pack("<I", MAGIC), at + 1, end)
            if at < 0:
                return
            continue
        image, last = at + header, at + header + size
        while image + 32 <= last:
            kind, _, length, payload = struct.unpack_from("<HHIQ", data, image)
            (capability,) = struct.unpack_from("<I", data, image + 28)
            if kind not in (PTX, SASS) or length < 32 or length > 4096:
                break
            images = found["ptx" if kind == PTX else "sass"]
            images[str(capability)] = images.get(str(capability), 0) + 1
            image += length + payload
        at = last
