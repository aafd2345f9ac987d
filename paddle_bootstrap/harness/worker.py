"""Runs inside the target's Python: takes calls on one pipe, answers on another. Standard library only, Python 3.8 syntax.

argv: REQUEST_FD REPLY_FD PRELOAD FOLDER...
    PRELOAD   a module to import before the first call ("paddle"), or "-"
    FOLDER    where workloads are: FOLDER/NAME.py, called as "NAME.function"
request: one JSON object a line: {"call": "cnn.train", "arguments": {...}}
reply:   one JSON object a line: {"value": ...} or {"raised": TYPE, "message": TEXT, "traceback": TEXT}

An exception travels as data; a crash ends the process, and the parent sees that. SIGUSR1 writes every thread's stack to
standard error, so that a hang leaves evidence before it is killed.
"""

import faulthandler
import importlib.util
import json
import os
import signal
import sys
import traceback


def load(name, folders):
    if name in sys.modules:
        return sys.modules[name]
    for folder in folders:
        path = os.path.join(folder, name + ".py")
        if os.path.isfile(path):
            spec = importlib.util.spec_from_file_location(name, path)
            module = importlib.util.module_from_spec(spec)
            sys.modules[name] = module
            try:
                spec.loader.exec_module(module)
            except BaseException:
                del sys.modules[name]
                raise
            return module
    raise ModuleNotFoundError("no workload module %s.py in %s" % (name, ", ".join(folders)))


def answer(request, folders):
    try:
        module, _, function = request["call"].partition(".")
        value = getattr(load(module, folders), function)(**request["arguments"])
        return json.dumps({"value": value})
    except SystemExit:
        raise
    except BaseException as error:
        told = {"raised": type(error).__name__, "message": str(error), "traceback": traceback.format_exc()}
        return json.dumps(told)


def main():
    requests = os.fdopen(int(sys.argv[1]), "r", encoding="utf-8")
    replies = os.fdopen(int(sys.argv[2]), "w", encoding="utf-8")
    faulthandler.register(signal.SIGUSR1, all_threads=True, chain=False)
    if sys.argv[3] != "-":
        try:
            __import__(sys.argv[3])
        except Exception:
            traceback.print_exc()  # the call that needs it will raise it again, with the whole story
    for line in requests:
        replies.write(answer(json.loads(line), sys.argv[4:]) + "\n")
        replies.flush()


main()
