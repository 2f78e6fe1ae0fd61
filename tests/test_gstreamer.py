"""The second opinion: what our own RTSP server is trusted for must hold with GStreamer's real one too."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import av
import pytest

from dashboard import notices
from dashboard.capture.camera import Camera
from dashboard.config import Camera as CameraConfig
from tests.servers import gst_rtsp
from tests.servers.clips import Clip, ClipMaker, read_number
from tests.servers.gst_rtsp import GstRtspServer


@pytest.fixture(scope="module")
def clip(make_clip: ClipMaker) -> Clip:
    return make_clip(fps=15, gop=15, seconds=2)


@pytest.fixture(scope="module")
def server(clip: Clip, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GstRtspServer]:
    if why := gst_rtsp.missing():
        if os.environ.get("CI"):
            pytest.fail(f"GStreamer's RTSP server cannot run: {why}")
        pytest.skip(f"GStreamer's RTSP server cannot run: {why}")
    with GstRtspServer(clip, Path(tmp_path_factory.mktemp("gst")), paths=3) as running:
        yield running


def read(url: str, transport: str, count: int) -> list[int | None]:
    """What is burnt into the first `count` pictures; a first client's open may fail while the pipeline is built."""
    options = {"rtsp_transport": transport, "probesize": "32", "analyzeduration": "0"}
    for _attempt in range(3):
        try:
            with av.open(url, options=options, timeout=(5, 5)) as container:
                found: list[int | None] = []
                for frame in container.decode(video=0):
                    found.append(read_number(frame.to_ndarray(format="gray")))
                    if len(found) == count:
                        return found
        except av.FFmpegError:
            time.sleep(0.5)
    raise AssertionError(f"{url} gave nothing over {transport}")


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_it_plays_every_picture_over_tcp_and_udp(transport: str, server: GstRtspServer, clip: Clip) -> None:
    found = read(server.url, transport, 40)
    first = found[0]
    assert first is not None
    assert found == [(first + index) % clip.frames for index in range(40)]


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_our_camera_gets_every_picture(transport: str, server: GstRtspServer, clip: Clip) -> None:
    url = server.urls[1]
    camera = Camera(
        CameraConfig.model_validate({"id": "gst", "url": url, "transport": transport}), notices.new_channel()
    )
    found: list[int | None] = []
    with camera.frames.subscribe() as frames:
        camera.start()
        try:
            end = time.monotonic() + 30
            while len(found) < 40 and time.monotonic() < end:
                if (frame := frames.next(0.5)) is not None:
                    found.append(read_number(frame.luma()))
            assert camera.status().state == "live"
        finally:
            assert camera.stop(10)
        missed = frames.missed
    first = found[0]
    assert first is not None
    assert missed or found == [(first + index) % clip.frames for index in range(40)]  # missed: we looked too late
    assert len(found) == 40
