"""soak.py that computes nothing: FAKE_SOAK says what each GPU tells, {"0": {"rates": ..., ...}}, and how long it takes."""

import json
import os
import time


def told(device):
    script = json.loads(os.environ["FAKE_SOAK"])
    time.sleep(script["seconds"])
    return script["gpus"][device]


def power(device, **_):
    return told(device)


def swing(device, **_):
    return told(device)
