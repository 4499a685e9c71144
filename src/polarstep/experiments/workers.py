"""Worker processes that serve all stages of all experiments of one command."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Workers:
    """A context manager that holds up to `n_jobs` processes, started when they are first needed.

    With one job, everything runs in the calling process. Workers ignore Ctrl-C; the calling process
    ends them when it receives the signal. If the calling process is killed, they end on their own.

    Parameters
    ----------
    n_jobs
        The number of processes; None for one per core.
    """

    def __init__(self, n_jobs: int | None = None) -> None:
        self.n_jobs = n_jobs or os.cpu_count() or 1
        self._processes: dict[Connection, SpawnProcess] = {}
        self._busy: set[Connection] = set()

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all processes, and interrupt those that are in the middle of a call."""
        for connection, process in self._processes.items():
            connection.close()
            if connection in self._busy:
                process.terminate()
        for process in self._processes.values():
            process.join(timeout=5)
            if process.is_alive():
                process.kill()
                process.join()
        self._processes.clear()
        self._busy.clear()

    def map_unordered(
        self, function: Callable[[Item], Result], items: Iterable[Item]
    ) -> Iterator[tuple[Item, Result]]:
        """Yield (item, function(item)) as the calls finish.

        Parameters
        ----------
        function
            A picklable callable.
        items
            The arguments; each is sent to a process as soon as one is idle.

        Raises
        ------
        ChildProcessError
            A process ended in the middle of a call, for instance because memory ran out.
        Exception
            Whatever the function raises. No further call starts, and the others are abandoned.
        """
        if self.n_jobs == 1:
            for item in items:
                yield item, function(item)
            return
        waiting = list(items)[::-1]
        items_of: dict[Connection, Item] = {}

        def give(connection: Connection) -> None:
            item = waiting.pop()
            connection.send((function, item))
            items_of[connection] = item
            self._busy.add(connection)

        self._start(min(self.n_jobs, len(waiting)))
        try:
            for connection in list(self._processes)[: len(waiting)]:
                give(connection)
            while self._busy:
                for ready in wait(list(self._busy)):
                    assert isinstance(ready, Connection)
                    succeeded, result = self._receive(ready)
                    item = items_of.pop(ready)
                    self._busy.discard(ready)
                    if not succeeded:
                        raise result
                    if waiting:
                        give(ready)
                    yield item, result
        finally:
            if self._busy:
                self.close()

    def _start(self, number: int) -> None:
        context = get_context("spawn")
        while len(self._processes) < number:
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs,), daemon=True)
            process.start()
            theirs.close()
            self._processes[ours] = process

    def _receive(self, connection: Connection) -> tuple[bool, Any]:
        try:
            return connection.recv()
        except (EOFError, ConnectionError):
            process = self._processes[connection]
            process.join()
            raise ChildProcessError(
                f"polarstep reproduce: a worker process ended with exit code {process.exitcode} in "
                "the middle of a run; it may have run out of memory. Use fewer --jobs, and "
                "continue with --resume."
            ) from None


def _serve(connection: Connection) -> None:
    """Answer calls until the other end of the connection is closed or its process has ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Exiting through an exception lets libraries release their resources; a kill would not.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with suppress(EOFError, ConnectionError):
        while True:
            function, item = connection.recv()
            try:
                answer = True, function(item)
            except BaseException as error:
                error = _sendable(error)
                error.add_note(f"In a worker process:\n{traceback.format_exc()}")
                answer = False, error
            connection.send(answer)


def _sendable(error: BaseException) -> BaseException:
    """Return the error itself if it survives pickling, else a RuntimeError with the same text."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
