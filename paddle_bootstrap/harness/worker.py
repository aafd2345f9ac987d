"""Runs inside the target's Python: takes requests on one pipe, answers on another. Standard library only, Python 3.8 syntax.

argv: REQUEST_FD REPLY_FD
request, one JSON object a line:
    {"import": MODULE, "deadline": SECONDS}             imported ahead of the first call, while the parent does other things
    {"call": "cnn.train", "folders": [...], "arguments": {...}, "deadline": SECONDS}      FOLDER/cnn.py, first folder wins
reply, one JSON object a line:
    {"value": ...}                                      what the workload returned
    {"raised": TYPE, "message": ..., "traceback": ...}  evidence about the target
    {"broken": TEXT, "traceback": ...}                  no such workload, wrong arguments, a value that is not JSON: our side

An exception travels as data; a crash ends the process, and the parent sees that. SIGUSR1 writes every thread's stack to
standard error, so that a hang leaves evidence before it is killed. A parent that is gone cannot kill: then the process ends
itself and all that it has started. Where a call that hangs holds the interpreter's lock, faulthandler's own thread, which needs
none, ends this process alone, some seconds after the deadline.
"""

import faulthandler
import importlib.util
import json
import os
import select
import signal
import sys
import threading
import traceback

GRACE = 15  # seconds after the deadline: the parent kills at the deadline itself


class Broken(Exception):
    """The call cannot be made, or its value not be sent."""


class Failed:
    """Gives the first failure of an import again: a second try could fail otherwise, or seem to succeed."""

    def __init__(self, name, error):
        self.name, self.error = name, error

    def find_spec(self, name, _path=None, _target=None):
        if name == self.name:
            raise self.error


def import_ahead(name):
    try:
        __import__(name)
    except BaseException as error:
        sys.meta_path.insert(0, Failed(name, error))
        raise
    return True


loaded = {}  # path -> module


def load(name, folders):
    for folder in folders:
        path = os.path.join(folder, name + ".py")
        if path in loaded:
            return loaded[path]
        if os.path.isfile(path):
            spec = importlib.util.spec_from_file_location("workloads." + name, path)
            module = importlib.util.module_from_spec(spec)
            sys.modules[spec.name] = module
            try:
                spec.loader.exec_module(module)
            except SyntaxError as error:
                if error.filename == path:
                    raise Broken("%s: %s" % (path, error))
                raise
            loaded[path] = module
            return module
    raise Broken("there is no workload %s.py in %s" % (name, " or ".join(folders)))


def call(request):
    name, _, function = request["call"].partition(".")
    module = load(name, request["folders"])
    if not callable(getattr(module, function, None)):
        raise Broken("%s has no function %s" % (module.__file__, function or "(none was named)"))
    try:
        value = getattr(module, function)(**request["arguments"])
    except TypeError as error:
        if error.__traceback__.tb_next is None:  # not from inside: the arguments do not fit
            raise Broken(str(error))
        raise
    try:
        return json.dumps({"value": value})
    except (TypeError, ValueError) as error:
        raise Broken("%s returned what JSON cannot hold: %s" % (request["call"], error))


def answer(request):
    try:
        if "import" in request:
            return json.dumps({"value": import_ahead(request["import"])})
        return call(request)
    except Broken as error:
        return json.dumps({"broken": str(error), "traceback": traceback.format_exc()})
    except SystemExit:
        if "import" not in request:
            raise
        return json.dumps({"value": False})  # the call that imports it will meet it again
    except BaseException as error:
        told = {"raised": type(error).__name__, "message": str(error), "traceback": traceback.format_exc()}
        return json.dumps(told)


def end_with(parent):
    """Wait for the far end of the pipe ``parent`` to close, which it does however the parent ends."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})  # it asks for the stack of the call
    poll = select.poll()
    poll.register(parent, 0)  # POLLHUP is always told
    poll.poll()
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(0)  # what Paddle would do at exit is nobody's business


def main():
    requests = os.fdopen(int(sys.argv[1]), "r", encoding="utf-8")
    replies = os.fdopen(int(sys.argv[2]), "w", encoding="utf-8")
    for pipe in (requests, replies):
        os.set_inheritable(pipe.fileno(), False)  # a program that a workload starts shall not hold them open
    faulthandler.register(signal.SIGUSR1, all_threads=True, chain=False)
    watch = threading.Thread(target=end_with, args=(requests.fileno(),), daemon=True)
    watch.start()
    for line in requests:
        request = json.loads(line)
        faulthandler.dump_traceback_later(request["deadline"] + GRACE, exit=True)
        replies.write(answer(request) + "\n")
        replies.flush()
        faulthandler.cancel_dump_traceback_later()
    watch.join()  # the parent is gone


main()
