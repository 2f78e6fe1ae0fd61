"""A named thread that does one thing until it is stopped. What it does belongs to the subclass.

`run_once` does the work and raises; the loop here is the only one that retries. Its pause is the stop signal,
so stopping never waits for a back-off. After Home Assistant's stream worker.
"""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod

log = logging.getLogger(__name__)


class Worker(ABC):
    """Runs `run_once` again and again in a thread called `name`, and pauses after a failure."""

    retry_pause = 1.0
    """Seconds to pause after a failure; a subclass may override `pause_after`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.stopping = threading.Event()
        self.failures = 0
        """How often `run_once` has raised since the start."""
        self._thread: threading.Thread | None = None

    @abstractmethod
    def run_once(self) -> None:
        """One round of work. Returning means "call me again"; raising means "pause, then call me again"."""

    def pause_after(self, error: Exception) -> float:
        """Seconds to wait after `error`. Called in the worker's thread."""
        log.error("%s failed, goes on in %.0f s", self.name, self.retry_pause, exc_info=error)
        return self.retry_pause

    def start(self) -> None:
        """Start the thread. A worker is started once."""
        if self._thread is not None:
            raise RuntimeError(f"{self.name} was already started")
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> bool:
        """Ask the thread to end and wait up to `timeout` seconds for it; False when it did not end in time."""
        self.stopping.set()
        self.wake()
        if self._thread is None:
            return True
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def wake(self) -> None:  # noqa: B027 - optional: most workers wait on `stopping` alone
        """End whatever `run_once` waits for. Called by `stop`, from another thread."""

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def _run(self) -> None:
        pause = 0.0
        while not self.stopping.wait(pause):
            try:
                self.run_once()
                pause = 0.0
            except Exception as error:  # noqa: BLE001 - the edge of a thread: one failure must not end it
                if self.stopping.is_set():
                    return
                self.failures += 1
                pause = self.pause_after(error)
