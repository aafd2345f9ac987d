"""What is installed in the target, read from its .dist-info folders: names, versions, and the files' sizes. Reads files only."""

import csv
import glob
import os
import re
import sys


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def folders():
    """Where Python looks for packages, in its order."""
    return [path for path in dict.fromkeys(sys.path) if os.path.isdir(path)]


def found():
    """{name: [version, ...]}: a second version is the trace of an installation that was cut short or done twice."""
    versions = {}
    for folder in folders():
        for path in sorted(glob.glob(os.path.join(glob.escape(folder), "*.dist-info"))):
            name, _, version = os.path.basename(path)[: -len(".dist-info")].rpartition("-")
            versions.setdefault(normal(name), []).append(version)
    return versions


def changed(names):
    """How the files of the distributions ``names`` differ from what their RECORDs say.

    {"files": how many were looked at, "unrecorded": names without a RECORD, "changed": [[path, size, size now or None]]}.
    Bytecode is left out: Python writes it anew when it likes.
    """
    told = {"files": 0, "unrecorded": [], "changed": []}
    records = {}
    for folder in folders():
        for path in glob.glob(os.path.join(glob.escape(folder), "*.dist-info", "RECORD")):
            records.setdefault(normal(os.path.basename(os.path.dirname(path)).rpartition("-")[0]), path)
    for name in names:
        if name not in records:
            told["unrecorded"].append(name)
            continue
        with open(records[name], newline="", encoding="utf-8") as file:
            rows = [(row[0], int(row[2])) for row in csv.reader(file) if len(row) == 3 and row[2]]
        site = os.path.dirname(os.path.dirname(records[name]))
        for path, size in rows:
            if not path.endswith(".pyc"):
                told["files"] += 1
                now = size_of(os.path.join(site, path))
                if now != size:
                    told["changed"].append([path, size, now])
    return told


def size_of(path):
    try:
        return os.stat(path).st_size
    except OSError:
        return None
