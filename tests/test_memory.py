from __future__ import annotations

import subprocess
import sys

import pytest

# glibc tells its arenas in malloc_info(3); threads that allocate at the same time would have one each.
COUNT = """
import ctypes, os, sys, tempfile, threading
from dashboard.memory import few_arenas
if sys.argv[1] == "few":
    few_arenas()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
start = threading.Barrier(8)
def work():
    held = [libc.malloc(1000)]
    start.wait()
    start.wait()
    libc.free(held[0])
threads = [threading.Thread(target=work) for _ in range(7)]
for thread in threads: thread.start()
start.wait()
libc.fopen.restype = ctypes.c_void_p
path = tempfile.mktemp()
file = ctypes.c_void_p(libc.fopen(path.encode(), b"w"))
libc.malloc_info(0, file)
libc.fclose(file)
start.wait()
for thread in threads: thread.join()
print(open(path).read().count("<heap nr="))
os.unlink(path)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="arenas are glibc's")
def test_threads_share_few_arenas() -> None:
    def arenas(how: str) -> int:
        done = subprocess.run(
            [sys.executable, "-c", COUNT, how], capture_output=True, text=True, timeout=30, check=True
        )
        return int(done.stdout)

    assert arenas("few") <= 2 < arenas("default")
