"""The target's files against the list of digests that was written when they were installed. Reads files only."""

import csv
import glob
import hashlib
import os
import stat
import sys
from concurrent.futures import ThreadPoolExecutor

FOLDER = os.path.join(sys.prefix, ".paddle-bootstrap")
CHUNK = 1 << 20  # bytes
MOST = 16  # threads; beyond it memory decides


def compare():
    """How the target differs from its list.

    {"listed": sha256 of the list or None when there is none, "wheels": their sha256, "files": how many were looked at,
    "bytes": that were hashed, "changed": [path], "missing": [path], "foreign": [path]}, paths below the target.
    """
    try:
        with open(os.path.join(FOLDER, "files.sha256"), "rb") as file:
            content = file.read()
    except FileNotFoundError:
        return {"listed": None}
    wheels, digests = parsed(content.decode("utf-8", "surrogateescape"))
    now, size = hashed(sorted(digests))
    return {
        "listed": hashlib.sha256(content).hexdigest(),
        "wheels": wheels,
        "files": len(digests),
        "bytes": size,
        "changed": [path for path in sorted(digests) if now[path] not in (None, digests[path])],
        "missing": [path for path in sorted(digests) if now[path] is None],
        "foreign": foreign(digests),
    }


def parsed(text):
    """sha256 of the wheels, and {path: sha256}; lines are those of sha256sum."""
    wheels, digests = [], {}
    for line in text.split("\n"):
        if line.startswith("# wheel "):
            wheels.append(line.split()[-1])
        elif line and not line.startswith("#"):
            digest, _, path = line.partition("  ")
            if digest.startswith("\\"):
                digest = digest[1:]
                path = path.replace("\\\\", "\0").replace("\\n", "\n").replace("\\r", "\r").replace("\0", "\\")
            digests[path] = digest
    return wheels, digests


def hashed(paths):
    """{path: sha256 now, None when it is gone}, and the bytes read. One file with several names is read once."""
    places, ids = {}, {}
    for path in paths:
        try:
            told = os.stat(os.path.join(sys.prefix, path))
        except OSError:
            continue
        ids[path] = (told.st_dev, told.st_ino)
        places.setdefault(ids[path], (told.st_size, path) if stat.S_ISREG(told.st_mode) else (0, os.devnull))
    biggest_first = sorted(places, key=places.get, reverse=True)
    with ThreadPoolExecutor(min(len(os.sched_getaffinity(0)), MOST)) as threads:
        answers = threads.map(lambda each: sha256(os.path.join(sys.prefix, places[each][1])), biggest_first)
        found = dict(zip(biggest_first, answers))  # noqa: B905 as Python 3.8 has it
    return {path: found[ids[path]] if path in ids else None for path in paths}, sum(size for size, _ in places.values())


def sha256(path):
    digest, memory = hashlib.sha256(), memoryview(bytearray(CHUNK))
    with open(path, "rb", buffering=0) as file:
        while True:
            count = file.readinto(memory)
            if not count:
                return digest.hexdigest()
            digest.update(memory[:count])


def foreign(digests):
    """Files in the folders of the listed packages that neither the list nor another installed package knows.

    Bytecode is left out: Python writes it. A package's folder is the one that it has in site-packages.
    """
    packages = {path.split("/site-packages/")[0] + "/site-packages" for path in digests if "/site-packages/" in path}
    known = set(digests)
    for place in packages:
        known.update(recorded(place))
    tops = {"/".join(path.split("/")[: depth(path)]) for path in digests if depth(path)}
    found = []
    for top in sorted(tops):
        for folder, names, files in os.walk(os.path.join(sys.prefix, top)):
            names[:] = sorted(name for name in names if name != "__pycache__")
            links = [name for name in names if os.path.islink(os.path.join(folder, name))]
            paths = [os.path.relpath(os.path.join(folder, name), sys.prefix) for name in sorted(files) + links]
            found += [path for path in paths if path not in known]
    return found


def depth(path):
    """How many parts of ``path`` name its package's folder; 0 when it lies in none."""
    parts = path.split("/")
    here = parts.index("site-packages") + 2 if "site-packages" in parts else len(parts)
    return here if here < len(parts) else 0


def recorded(place):
    """What the RECORDs of all distributions in the site-packages ``place`` list."""
    root = os.path.join(sys.prefix, place)
    for record in glob.glob(os.path.join(glob.escape(root), "*.dist-info", "RECORD")):
        with open(record, newline="", encoding="utf-8", errors="surrogateescape") as file:
            for row in csv.reader(file):
                if row:
                    yield os.path.normpath(os.path.join(place, row[0]))
