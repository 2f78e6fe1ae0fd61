"""`/live/<id>.mp4`: a camera's own video as an endless MP4, for VLC, ffmpeg and Home Assistant; nothing is decoded.

The browser's pages get the same fragments over the wall's socket. How fragments are made is not known here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from flask import Blueprint, Response, abort, jsonify, request

from dashboard.channel import ChannelClosed
from dashboard.web.access import NO_CAMERA
from dashboard.web.parts import Camera, current_parts
from dashboard.web.streams import RETRY_S, Receive, Scope, Send, Streams, answer, no_picture, send_more

PLAYABLE = frozenset({"h264", "hevc"})
HEAD = {"Content-Type": "video/mp4", "X-Accel-Buffering": "no", "Connection": "close"}
SILENT_S = 20.0
"""Seconds without a picture after which the answer ends, so that the player asks again."""


def refusal(camera: Camera | None) -> tuple[int, str] | None:
    """Why there is no video: status and words; None when there is."""
    if camera is None:
        return 404, NO_CAMERA
    codec = camera.status().codec
    if codec is None:
        return 503, no_picture(camera)
    if codec not in PLAYABLE:
        return 406, f"this camera sends {codec}, which is not put into MP4; ask /video_feed/{camera.id}"
    return None


class VideoStream:
    """The route, on the event loop."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        camera = self._streams.parts.cameras.get(scope["path_params"]["camera"])
        if scope["method"] not in {"GET", "HEAD"}:
            return await answer(send, 405, "only GET and HEAD", {"Allow": "GET, HEAD"})
        if (refused := refusal(camera)) is not None or camera is None:
            status, text = refused or (404, "")
            return await answer(send, status, text, {"Retry-After": str(RETRY_S)} if status == 503 else None)
        return await self._streams.serve(camera.id, HEAD, lambda: self._pump(camera, send), scope, receive, send)

    async def _pump(self, camera: Camera, send: Send) -> None:
        """Send until the camera is another one, its format changes, or it is silent for long."""
        opening = None
        with self._streams.videos.follow(camera.video) as video:
            try:
                while (fragment := await video.next(SILENT_S)) is not None:
                    if opening is None:
                        opening = fragment.opening
                        await send_more(send, opening.data)
                    elif fragment.opening is not opening:
                        return
                    await send_more(send, fragment.data)
            except ChannelClosed:
                return


# --- the same for a server that knows no event loop -----------------------------------------------------------------

blueprint = Blueprint("video", __name__)


@blueprint.get("/live/<camera>.mp4")
def video(camera: str) -> Response:
    found = current_parts().cameras.get(camera)
    if (refused := refusal(found)) is not None or found is None:
        status, text = refused or (404, "")
        if status == 404:
            abort(404, description=text)
        response = jsonify(error=text)
        response.status_code = status
        return response
    body = iter(()) if request.method == "HEAD" else _fragments(found)
    return Response(body, content_type=HEAD["Content-Type"])


def _fragments(camera: Camera) -> Iterator[bytes]:
    opening = None
    with closing(camera.video.subscribe(since=lambda fragment: fragment.key)) as fragments:
        try:
            while (fragment := fragments.next(SILENT_S)) is not None:
                if opening is None and not fragment.key:
                    continue
                if opening is None:
                    opening = fragment.opening
                    yield opening.data
                elif fragment.opening is not opening or fragments.missed:
                    return
                yield fragment.data
        except ChannelClosed:
            return
