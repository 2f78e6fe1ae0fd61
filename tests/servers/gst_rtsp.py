"""GStreamer's RTSP server as a second opinion: a real stack, TCP and UDP, many clients of one stream.

It runs under the system's own Python, for which the distribution builds the bindings (Debian: python3-gi,
gir1.2-gst-rtsp-server-1.0, gstreamer1.0-plugins-good, -bad and -base); `missing` says what is not there. This same
file is what that Python runs, so everything of the project's environment is imported only on our side.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from tests.servers.clips import Clip

PYTHON = "/usr/bin/python3"
DELIMITER = b"\0\0\0\1\x09\xf0"  # access unit delimiter: where the other side cuts the file
PIPELINE = (
    "( appsrc name=src is-live=true format=time do-timestamp=true"
    " caps=video/x-h264,stream-format=byte-stream,alignment=au,framerate={fps}/1"
    " ! h264parse config-interval=-1 ! rtph264pay name=pay0 pt=96 )"
)


def missing() -> str | None:
    """Why GStreamer's server cannot run here, or None when it can."""
    if not Path(PYTHON).exists():
        return f"{PYTHON} is missing"
    probe = subprocess.run([PYTHON, __file__, "probe"], capture_output=True, text=True, timeout=60, check=False)
    return None if probe.returncode == 0 else (probe.stderr.strip().splitlines() or ["the probe failed"])[-1]


class GstRtspServer:
    """`with GstRtspServer(clip, folder) as server:` plays an H.264 clip at `server.url` (and `/cam1` ... `/camN`)."""

    def __init__(self, clip: Clip, folder: Path, paths: int = 1) -> None:
        self.stream = folder / f"{clip.path.stem}.h264"
        self.clip = clip
        self.paths = paths
        self.port = 0

    @property
    def url(self) -> str:
        """The first stream."""
        return f"rtsp://127.0.0.1:{self.port}/cam0"

    @property
    def urls(self) -> list[str]:
        """All streams; each has its own pass through the clip."""
        return [f"rtsp://127.0.0.1:{self.port}/cam{index}" for index in range(self.paths)]

    def __enter__(self) -> Self:
        from tests.servers import rtp

        units = rtp.load(self.clip).units
        self.stream.write_bytes(
            b"".join(
                DELIMITER + b"".join(b"\0\0\0\1" + nal for nal in unit.pieces if nal[0] & 31 != 9) for unit in units
            )
        )
        self._process = subprocess.Popen(
            [PYTHON, __file__, "serve", str(self.stream), str(round(self.clip.fps)), str(self.paths)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout
        said = self._process.stdout.readline()
        if not said.strip().isdigit():
            self.stop()
            raise RuntimeError(f"GStreamer's RTSP server did not start: {said!r}")
        self.port = int(said)
        return self

    def stop(self) -> None:
        """End the process."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def pid(self) -> int:
        """The process that serves."""
        return self._process.pid

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _bindings() -> Any:
    """GStreamer's modules; raises ImportError or ValueError when something is missing."""
    import gi  # type: ignore[import-not-found]

    for name in ("Gst", "GstApp", "GstRtspServer"):
        gi.require_version(name, "1.0")
    from gi.repository import GLib, Gst, GstApp, GstRtspServer  # type: ignore[import-not-found]

    Gst.init(None)
    absent = [name for name in ("appsrc", "h264parse", "rtph264pay") if not Gst.ElementFactory.find(name)]
    if absent:
        raise ImportError(f"GStreamer has no {', '.join(absent)}")
    return GLib, Gst, GstRtspServer, GstApp


def _feed(gst: Any, source: Any, units: list[bytes], fps: float, going: threading.Event) -> None:
    """Push the units in a loop at their rate until the stream is taken down."""
    index, due = 0, time.monotonic()
    while going.is_set():
        if source.emit("push-buffer", gst.Buffer.new_wrapped(units[index % len(units)])) != gst.FlowReturn.OK:
            return
        index, due = index + 1, due + 1 / fps
        time.sleep(max(0.0, due - time.monotonic()))


def _serve(stream: str, fps: int, paths: int) -> None:
    glib, gst, rtsp, _ = _bindings()
    units = [DELIMITER + unit for unit in Path(stream).read_bytes().split(DELIMITER)[1:]]

    def configure(_factory: Any, media: Any) -> None:
        going = threading.Event()
        going.set()
        media.connect("unprepared", lambda _media: going.clear())
        source = media.get_element().get_by_name("src")
        threading.Thread(target=_feed, args=(gst, source, units, fps, going), daemon=True).start()

    server = rtsp.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service("0")
    for index in range(paths):
        factory = rtsp.RTSPMediaFactory()
        factory.set_shared(True)
        factory.connect("media-configure", configure)
        factory.set_launch(PIPELINE.format(fps=fps))
        server.get_mount_points().add_factory(f"/cam{index}", factory)
    if not server.attach(None):
        raise SystemExit("no port could be bound")
    loop = glib.MainLoop()
    threading.Thread(target=lambda: (sys.stdin.read(), loop.quit()), daemon=True).start()
    print(server.get_bound_port(), flush=True)
    loop.run()


if __name__ == "__main__":
    if sys.argv[1] == "probe":
        _bindings()
    else:
        _serve(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
