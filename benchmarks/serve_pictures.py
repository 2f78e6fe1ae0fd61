"""The server that `viewers` and `latency` measure: the whole web over one camera.

    python -m benchmarks.serve_pictures FPS BYTES

Publishes ready-made pictures of so many bytes; with 0, pixels of 1280x720 that are encoded when somebody wants them.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

import numpy as np

from dashboard.capture.frame import BgrFrame, Stamp
from dashboard.web.asgi import Application
from dashboard.web.parts import Parts
from dashboard.web.serving import serve
from tests.web_fakes import FakeCamera, FakeFrame, fake_parts


def main(fps: float, size: int) -> None:
    door = FakeCamera("door")
    frames: list[Any] = []
    encodes = [0]
    noise = np.random.default_rng(1).integers(0, 24, (720, 1280, 3), np.uint8)
    pixels = [np.roll(noise + np.linspace(40, 200, 1280, dtype=np.uint8)[:, None], step, 1) for step in range(8)]
    body = b"\xff\xd8\xff" + b"x" * max(0, size - 5) + b"\xff\xd9"

    def publish() -> None:
        due = time.monotonic()
        while True:
            due += 1 / fps
            time.sleep(max(0, due - time.monotonic()))
            if not size:
                stamp = Stamp("door", len(frames) + 1, time.time(), time.monotonic())
                frames.append(door.publish(BgrFrame(stamp, pixels[len(frames) % len(pixels)])))
                continue
            frames.append(door.publish(FakeFrame("door", len(frames) + 1, body=body)))
            if len(frames) > 20:
                old = frames[-20]
                encodes[0] += old.encodes
                old.encodes, old.body = 0, b""

    def stats() -> dict[str, int]:
        return {
            "frames": len(frames),
            "encodes": encodes[0] + sum(getattr(frame, "encodes", 0) for frame in frames[-20:]),
            "viewers": len(parts.audience),
        }

    parts: Parts = fake_parts([door], stats=stats)
    threading.Thread(target=publish, name="capture-door", daemon=True).start()
    serve(Application(parts), "127.0.0.1", 0, lambda host, port: print(port, flush=True))


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]))
