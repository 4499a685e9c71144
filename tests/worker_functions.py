"""Functions that worker processes can import."""

import os
import time


def square(log, spec, data):
    """Square x and append x to the log; fail for x = 13."""
    if spec["x"] == 13:
        raise ValueError("unlucky")
    with log.open("a") as file:
        file.write(f"{spec['x']}\n")
    return {"square": spec["x"] ** 2, "data": str(data)}


def process_of(item):
    """Return the process id, after a pause in which another process can start."""
    time.sleep(0.05)
    return os.getpid()


def fail_at(bad, item):
    """Fail for one of the items."""
    if item == bad:
        raise ValueError(f"unlucky {item}")
    return item


def end_itself(code):
    """End the process in the middle of the call."""
    os._exit(code)


def leave_a_mark(folder, item):
    """Write a file that is named after the process."""
    (folder / str(os.getpid())).touch()


def wait_for_ever(folder, item):
    """Never return, unless the item is 0."""
    leave_a_mark(folder, item)
    while item > 0:
        time.sleep(1)


class Unpicklable(Exception):
    """An error that pickle cannot rebuild, because `args` does not match `__init__`."""

    def __init__(self, place, reason):
        super().__init__(f"{reason} at {place}")


def fail_unpicklably(item):
    """Raise an error that cannot be sent from one process to another."""
    raise Unpicklable(item, "unlucky")
