"""What is installed in the target, read from its .dist-info folders: names, versions, and the files' sizes. Reads files only."""

import csv
import glob
import os
import re
import site


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def installed():
    """(name, version, folder) of each distribution. Not sys.path: importing setuptools puts its vendored packages there."""
    for packages in dict.fromkeys(site.getsitepackages()):
        for folder in sorted(glob.glob(os.path.join(glob.escape(packages), "*.dist-info"))):
            name, _, version = os.path.basename(folder)[: -len(".dist-info")].rpartition("-")
            yield normal(name), version, folder


def found():
    """{name: [version, ...]}: a second version is the trace of an installation that was cut short or done twice."""
    versions = {}
    for name, version, _ in installed():
        versions.setdefault(name, []).append(version)
    return versions


def changed(names):
    """How the files of the distributions ``names`` differ from what their RECORDs say.

    {"files": how many were looked at, "unrecorded": names without a RECORD, "changed": [[path, size, size now or None]]}.
    Bytecode is left out: Python writes it anew when it likes.
    """
    told = {"files": 0, "unrecorded": [], "changed": []}
    records = {name: os.path.join(folder, "RECORD") for name, _, folder in installed()}
    for name in names:
        if not os.path.isfile(records.get(name, "")):
            told["unrecorded"].append(name)
            continue
        packages = os.path.dirname(os.path.dirname(records[name]))
        for path, size in recorded(records[name]):
            now = size_of(os.path.join(packages, path))
            told["files"] += 1
            if now != size:
                told["changed"].append([path, size, now])
    return told


def recorded(record):
    """(path, size) of each file that a RECORD states the size of."""
    with open(record, newline="", encoding="utf-8") as file:
        return [(row[0], int(row[2])) for row in csv.reader(file) if len(row) == 3 and row[2] and row[0][-4:] != ".pyc"]


def size_of(path):
    try:
        return os.stat(path).st_size
    except OSError:
        return None
