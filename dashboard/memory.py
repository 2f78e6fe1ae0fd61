"""How the C library hands out memory to the many threads of a dashboard. What it is used for does not belong here."""

from __future__ import annotations

import ctypes
import sys

M_ARENA_MAX = -8
"""glibc's name for the most arenas, see mallopt(3)."""
ARENAS = 2


def few_arenas() -> None:
    """Let all threads share two arenas of glibc, to be called before there are threads; elsewhere nothing happens.

    By default there are eight for each core, and each keeps what its threads once needed: 1.2 MB more for each camera.
    """
    if sys.platform == "linux":
        try:
            ctypes.CDLL(None).mallopt(M_ARENA_MAX, ARENAS)
        except (OSError, AttributeError):  # another C library
            pass
