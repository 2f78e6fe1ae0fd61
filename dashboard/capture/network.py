"""Cameras on the network: RTSP and video over HTTP by PyAV, JPEGs over HTTP by our own reader.

A camera is an unknown program at the other end: only its own protocol is spoken with it, no playlist, file or
redirect is followed, every wait has an end, and no text of a library, which would hold the password, gets out.
Retrying belongs to camera.py.
"""

from __future__ import annotations

import errno
import socket
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from urllib.parse import quote, unquote, urlsplit

import av
import av.error

from dashboard.capture.http import Exchange, in_words, refusal
from dashboard.capture.jpeg import JpegCutter
from dashboard.capture.source import Packet, Source, Spec
from dashboard.errors import SourceError

CODECS = frozenset({"h264", "hevc", "mjpeg", "mpeg4", "vp8", "vp9", "av1"})
"""What is decoded; the rest of FFmpeg's decoders are never reached by a stranger's bytes."""
CONTAINERS = "mpegts,flv,h264,hevc,matroska,webm,mov,mp4"
"""What may come over HTTP beside JPEGs. No playlists: they would open further addresses."""

PROTOCOLS = {"rtsp": "rtp,tcp,udp", "rtsps": "rtp,tcp,udp,tls,srtp,crypto"}
MAX_LOGIN = 127  # characters, as they stand in the URL
_IN_LOGIN = " !\"$&'()*+,;<=>[\\]^`{|}"  # may stand there as they are, beside letters, digits and -._~
WAIT = 0.5  # seconds after which a reader comes back to see whether it is to stop
POLLED = 2.0  # times a second that an address with a single JPEG is asked
TIME_BASE = Fraction(1, 1000)


def open_network(spec: Spec) -> Source:
    """Open the camera's URL: rtsp, rtsps, http or https; anything else is refused."""
    scheme = urlsplit(spec.connect_url()).scheme.lower()
    if scheme in PROTOCOLS:
        return RtspSource(spec)
    if scheme in ("http", "https"):
        return _open_http(spec)
    raise SourceError("the address must begin with rtsp, rtsps, http or https")


class RtspSource:
    """A stream over RTSP; over TCP unless the camera is configured for UDP."""

    def __init__(self, spec: Spec) -> None:
        self._url = spec.connect_url()
        self._timeout = spec.timeout
        scheme = urlsplit(self._url).scheme.lower()
        options = {
            "rtsp_transport": spec.transport,
            "allowed_media_types": "video",
            "protocol_whitelist": PROTOCOLS[scheme],
            "format_whitelist": "rtsp",
            # The description of the stream says what is needed; waiting for pictures to probe costs a second.
            "probesize": "32",
            "analyzeduration": "0",
        }
        address = for_rtsp(self._url)
        began = time.monotonic()
        try:
            self._container = av.open(address, timeout=(spec.timeout, spec.timeout), options=options)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            if isinstance(error, av.error.InvalidDataError):
                # FFmpeg takes an answer that it gave up waiting for to be one that it cannot read.
                late = time.monotonic() - began >= spec.timeout
                raise SourceError(f"no answer within {spec.timeout:g} s" if late else "no answer in RTSP") from None
            raise self._translate(error) from None
        try:
            self._packets = demux(self._container)
        except BaseException:
            self._container.close()
            raise

    def read(self) -> Packet | None:
        """The next picture; waits up to the camera's timeout for it."""
        try:
            packet = next(self._packets, None)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise self._translate(error) from None
        if packet is None:
            raise SourceError("the stream ended")
        return packet

    def close(self) -> None:
        """Leave the camera."""
        with suppress(av.error.FFmpegError, OSError):
            self._container.close()

    def _translate(self, error: BaseException) -> SourceError:
        return translate(error, self._url, self._timeout)


class JpegStream:
    """JPEGs one after the other in an HTTP body that does not end, as in `multipart/x-mixed-replace`."""

    def __init__(self, spec: Spec, exchange: Exchange) -> None:
        self._timeout = spec.timeout
        self._exchange = exchange
        self._cutter = JpegCutter()
        self._ready: deque[bytes] = deque()
        self._last = time.monotonic()  # when a picture came

    def read(self) -> Packet | None:
        """The next picture, if one is complete within half a second."""
        if not self._ready:
            data = self._exchange.read(WAIT)
            if data == b"":
                raise SourceError("the camera closed the connection")
            self._ready.extend(self._cutter.feed(data or b""))
        if self._ready:
            self._last = time.monotonic()
            return jpeg_packet(self._ready.popleft())
        if time.monotonic() - self._last > self._timeout:
            # Bytes alone are no sign of life: a drip, or garbage, ends like silence.
            raise no_picture(self._cutter, self._timeout)
        return None

    def close(self) -> None:
        """Leave the camera."""
        self._exchange.close()


class JpegPolled:
    """An address that gives one JPEG and is asked again and again, at the camera's `fps`, twice a second by default."""

    def __init__(self, spec: Spec, exchange: Exchange) -> None:
        self._url = spec.connect_url()
        self._timeout = spec.timeout
        self._pause = 1 / min(max(spec.fps or POLLED, 0.01), 15)
        self._due = time.monotonic()
        self._exchange: Exchange | None = exchange

    def read(self) -> Packet | None:
        """The next picture when it is due; None when none is due within half a second."""
        now = time.monotonic()
        if now < self._due:
            time.sleep(min(WAIT, self._due - now))
            return None
        self._due = max(self._due + self._pause, now)
        exchange = self._exchange or Exchange(self._url, self._timeout)
        self._exchange = exchange
        try:
            return jpeg_packet(self._picture(exchange, now + self._timeout))
        finally:
            self.close()

    def close(self) -> None:
        """Leave the camera."""
        if self._exchange is not None:
            self._exchange.close()
            self._exchange = None

    def _picture(self, exchange: Exchange, deadline: float) -> bytes:
        cutter = JpegCutter()
        while time.monotonic() < deadline:
            data = exchange.read(WAIT)
            if pictures := cutter.feed(data or b""):
                return pictures[0]
            if data == b"":
                raise SourceError("what it sends cannot be read as a picture")
        raise no_picture(cutter, self._timeout)


def jpeg_packet(data: bytes) -> Packet:
    """A JPEG that is complete now."""
    now = time.monotonic()
    return Packet(data, True, "mjpeg", round(now * 1000), None, TIME_BASE, time.time(), now)


def no_picture(cutter: JpegCutter, timeout: float) -> SourceError:
    """Why there was none, as far as it can be known."""
    if cutter.too_large:
        return SourceError("sends pictures of {}x{} pixels, too large to be shown".format(*cutter.too_large))
    return SourceError(f"no picture within {timeout:g} s")


class BodyVideo:
    """Video in a container over HTTP. FFmpeg reads our connection and opens none itself."""

    def __init__(self, spec: Spec, exchange: Exchange) -> None:
        self._timeout = spec.timeout
        self._exchange = exchange
        self._rest = b""
        self._last = time.monotonic()
        options = {"protocol_whitelist": "none", "format_whitelist": CONTAINERS}
        options |= {"probesize": "500000", "analyzeduration": "1000000"}
        try:
            self._container = av.open(_Body(self.pull), "r", options=options)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            exchange.close()
            raise translate(error, "", self._timeout) from None
        except BaseException:
            exchange.close()
            raise
        try:
            self._packets = demux(self._container)
        except BaseException:
            self.close()
            raise

    def read(self) -> Packet | None:
        """The next picture; waits up to the camera's timeout for it."""
        self._last = time.monotonic()
        try:
            packet = next(self._packets, None)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise translate(error, "", self._timeout) from None
        if packet is None:
            raise SourceError("the stream ended")
        return packet

    def pull(self, size: int) -> bytes:
        """Up to `size` bytes of the body for FFmpeg; none at its end."""
        while not self._rest:
            if time.monotonic() - self._last > self._timeout:
                raise SourceError(f"no picture within {self._timeout:g} s")
            piece = self._exchange.read(WAIT)
            if piece == b"":
                return b""
            self._rest = piece or b""
        piece, self._rest = self._rest[:size], self._rest[size:]
        return piece

    def close(self) -> None:
        """Leave the camera."""
        with suppress(av.error.FFmpegError, OSError, SourceError):
            self._container.close()
        self._exchange.close()


class _Body:
    """The face of a file that PyAV wants."""

    def __init__(self, pull: object) -> None:
        self.read = pull


def _open_http(spec: Spec) -> Source:
    exchange = Exchange(spec.connect_url(), spec.timeout)
    kind = exchange.content_type.partition(";")[0].strip()
    if kind.startswith("video/") or kind in ("application/octet-stream", "application/mp4"):
        return BodyVideo(spec, exchange)
    if kind.startswith("image/"):
        return JpegPolled(spec, exchange)
    if kind.startswith("multipart/") or not kind:
        return JpegStream(spec, exchange)
    exchange.close()
    raise SourceError("the address answers, but not with video")


def demux(container: av.container.InputContainer) -> Iterator[Packet]:
    """The compressed pictures of the container's first video stream. Raises `SourceError` when there is none."""
    if not container.streams.video:
        raise SourceError("the stream has no video")
    stream = container.streams.video[0]
    codec = stream.codec_context.name if stream.codec_context else ""
    if codec not in CODECS:
        raise SourceError("the stream is in a format that is not supported")
    return _packets(container, stream, codec)


def _packets(container: av.container.InputContainer, stream: av.VideoStream, codec: str) -> Iterator[Packet]:
    extradata = stream.codec_context.extradata
    for packet in container.demux(stream):
        if packet.size == 0:  # the end; a missing dts is none, the first packets of RTSP have no dts
            return
        yield Packet(
            bytes(packet),
            packet.is_keyframe or codec == "mjpeg",
            codec,
            packet.pts,
            packet.dts,
            packet.time_base or stream.time_base or TIME_BASE,
            time.time(),
            time.monotonic(),
            extradata,
        )


def for_rtsp(url: str) -> str:
    """The same URL for FFmpeg, whose RTSP keeps 127 characters of user name and password and cuts off the rest.

    So only what would end them is percent-encoded. Raises `SourceError` rather than show a camera half a password.
    """
    shown = urlsplit(url).netloc.rpartition("@")[0]
    if not shown:
        return url
    user, colon, password = shown.partition(":")
    plain = quote(unquote(user), safe=_IN_LOGIN) + colon + quote(unquote(password), safe=_IN_LOGIN + ":")
    if len(plain) > MAX_LOGIN:
        raise SourceError("user name and password are too long for RTSP")
    return url.replace(f"{shown}@", f"{plain}@", 1)


def translate(error: BaseException, url: str, timeout: float) -> SourceError:
    """What an error of PyAV means to people. Its own text holds the URL with the password."""
    if isinstance(error, SourceError):
        return error
    statuses = {
        av.error.HTTPBadRequestError: 400,
        av.error.HTTPUnauthorizedError: 401,
        av.error.HTTPForbiddenError: 403,
        av.error.HTTPNotFoundError: 404,
        av.error.HTTPOtherClientError: 400,
        av.error.HTTPServerError: 500,
    }
    for kind, status in statuses.items():
        if isinstance(error, kind):
            return refusal(status, with_user="@" in urlsplit(url).netloc)
    if isinstance(error, (av.error.ExitError, TimeoutError)):
        return SourceError(f"no answer within {timeout:g} s")
    if isinstance(error, av.error.EOFError):
        return SourceError("the stream ended")
    if isinstance(error, av.error.InvalidDataError):
        return SourceError("what it sends cannot be read as video")
    code = getattr(error, "errno", None)
    if code == errno.EIO:
        return _broken(url)
    if isinstance(error, OSError) and code in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN):
        return SourceError("host unreachable")
    if isinstance(error, (ConnectionError, BrokenPipeError)):
        return in_words(error, timeout)
    return SourceError("the stream cannot be read")


def _broken(url: str) -> SourceError:
    """FFmpeg says "input/output error" for a name that is not known, too."""
    host = urlsplit(url).hostname
    if host:
        try:
            socket.getaddrinfo(host, None)
        except (OSError, UnicodeError) as error:
            return in_words(error, 0)
    return SourceError("the connection broke")
