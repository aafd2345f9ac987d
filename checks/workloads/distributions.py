"""What is installed in the target, read from its .dist-info folders: names, versions, and the files' sizes. Reads files only."""

import csv
import glob
import os
import re
import site


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def folders():
    """site-packages, in the order of imports, each once: lib64 is often a link to lib.

    Not sys.path: importing setuptools puts its vendored packages there.
    """
    return list(dict.fromkeys(map(os.path.realpath, site.getsitepackages())))


def installed(packages):
    """(name, version, folder) of each distribution in one site-packages."""
    for folder in sorted(glob.glob(os.path.join(glob.escape(packages), "*.dist-info"))):
        name, _, version = os.path.basename(folder)[: -len(".dist-info")].rpartition("-")
        yield normal(name), version, folder


def found():
    """{name: [version, ...]}: a second version is the trace of an installation that was cut short or done twice.

    What stands in an earlier folder hides what a later one has under the same name: that is no second version.
    """
    versions = {}
    for packages in reversed(folders()):
        here = {}
        for name, version, _ in installed(packages):
            here.setdefault(name, []).append(version)
        versions.update(here)
    return versions


def beside(names):
    """[name, version] of those among ``names`` that stand in one folder, the first that has any, and write over each other."""
    for packages in folders():
        there = [[name, version] for name, version, _ in installed(packages) if name in names]
        if there:
            return there
    return []


def changed(names):
    """How the files of the distributions ``names`` differ from what their RECORDs say.

    {"files": how many were looked at, "unrecorded": names whose RECORD is missing or lists no file,
    "changed": [[path, size, size now or None]]}. Bytecode is left out: Python writes it anew when it likes.
    """
    told = {"files": 0, "unrecorded": [], "changed": []}
    places = {name: folder for packages in reversed(folders()) for name, _, folder in installed(packages)}
    for name in names:
        files = recorded(os.path.join(places[name], "RECORD")) if name in places else []
        if not files:
            told["unrecorded"].append(name)
        for path, size in files:
            now = size_of(os.path.join(os.path.dirname(places[name]), path))
            told["files"] += 1
            if now != size:
                told["changed"].append([path, size, now])
    return told


def recorded(record):
    """(path, size) of each file that a RECORD states the size of; none when there is no RECORD."""
    if not os.path.isfile(record):
        return []
    with open(record, newline="", encoding="utf-8") as file:
        return [(row[0], int(row[2])) for row in csv.reader(file) if len(row) == 3 and row[2] and row[0][-4:] != ".pyc"]


def size_of(path):
    try:
        return os.stat(path).st_size
    except OSError:
        return None
