"""`python -m demo SCENE FILE`: film one scene; prints how far it is, 0..1, a line at a time."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from types import FrameType

import cv2

import demo


def main(arguments: list[str]) -> int:
    """0 good, 1 failed, 2 bad arguments."""
    if len(arguments) != 2 or arguments[0] not in demo.SCENES:
        print(f"usage: python -m demo {{{'|'.join(demo.SCENES)}}} FILE.mp4", file=sys.stderr)
        return 2
    cv2.setNumThreads(1)  # each scene has a process of its own
    signal.signal(signal.SIGTERM, _leave)  # so that the half file is removed
    try:
        demo.render(arguments[0], Path(arguments[1]), lambda share: print(f"{share:.3f}", flush=True))
    except demo.RenderError as error:
        print(error)
        return 1
    return 0


def _leave(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
