"""The keys of cameras.yaml: meaning, unit, limits and default of each, in this one place.

Descriptions are shown by editors (cameras.schema.json) and stand in design/configuration.md. Areas are % of the
picture, times are seconds, points are 0..1 from the top left corner. Reading the file does not belong here.
"""

from __future__ import annotations

import re
import zoneinfo
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    PrivateAttr,
    SecretStr,
    model_validator,
)
from pydantic.json_schema import WithJsonSchema

from dashboard.config import addresses

RESERVED_IDS = frozenset(
    {"account", "admin", "api", "cameras", "events", "favicon", "healthz", "live", "login", "logout", "metrics"}
    | {"static", "video_feed"}
)
ID = re.compile(r"[a-z0-9_-]{1,64}", re.ASCII)
MAX_CAMERAS = 128
GIGABYTE = 1000**3
UNITS = {"b": 1} | {
    letter + suffix: base**power
    for power, letter in enumerate("kmgt", 1)
    for suffix, base in (("b", 1000), ("ib", 1024))
}
SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?) ?([kmgt]?i?b)", re.IGNORECASE | re.ASCII)


def parse_size(size: Any) -> Any:
    """Bytes of "5GB", "1.5 TB" or "4 GiB"; what is no text is passed on. Raises ValueError."""
    if not isinstance(size, str):
        return size
    found = SIZE.fullmatch(size.strip())
    if found is None or found[2].lower() not in UNITS:
        raise ValueError("must be a size such as 500MB, 5GB or 1.5 TB")
    return int(float(found[1]) * UNITS[found[2].lower()])


def _check_id(text: str) -> str:
    if not ID.fullmatch(text):
        hint = " (capital letters go to name)" if ID.fullmatch(text.lower()) else ""
        raise ValueError(f"must be 1 to 64 of a-z, 0-9, - and _{hint}")
    if text in RESERVED_IDS:
        raise ValueError("is a word that the dashboard's own pages use; take another")
    return text


def _check_name(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty")
    return text.strip()


def _check_url(url: str) -> str:
    return addresses.take_apart(url).bare


def _check_timezone(name: str) -> str:
    try:
        zoneinfo.ZoneInfo(name)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        raise ValueError("must be a time zone such as Europe/Berlin") from None
    return name


Size = Annotated[
    int,
    Field(ge=1_000_000, le=10**15),
    BeforeValidator(parse_size),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)? ?([kKmMgGtT][iI]?)?[bB]$"},
                {"type": "integer", "minimum": 1_000_000},
            ]
        }
    ),
]
Url = Annotated[str, AfterValidator(_check_url), Field(json_schema_extra={"pattern": "^(rtsps?|https?)://[^/]"})]
Unit = Annotated[float, Field(ge=0, le=1)]
Polygon = Annotated[tuple[tuple[Unit, Unit], ...], Field(min_length=3, max_length=200)]
Device = Annotated[
    int | str,
    PlainValidator(addresses.check_device),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": addresses.HIGHEST_DEVICE},
                {"type": "string", "pattern": f"^([0-9]{{1,2}}|{addresses.DEVICE.pattern})$"},
            ]
        }
    ),
]


class Model(BaseModel):
    """What all sections share: frozen, strict about types, no unknown keys, no input repeated in errors."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, hide_input_in_errors=True, validate_default=False
    )


class Detect(Model):
    """How often pictures are looked at for motion."""

    fps: float = Field(default=5.0, ge=0.1, le=30, description="Pictures per second that are looked at for motion.")


class Motion(Model):
    """What counts as motion, and when an event begins and ends."""

    enabled: bool = Field(
        default=True, description="Whether motion is looked for. Without it nothing is decoded unwatched."
    )
    threshold: int = Field(
        default=30,
        ge=1,
        le=255,
        description="How much a point's brightness must differ from the background to have changed, 1 to 255.",
    )
    min_area: float = Field(
        default=0.3, ge=0.01, le=100, description="Smallest changed region that counts as motion, % of the picture."
    )
    minimum_motion_frames: int = Field(
        default=2, ge=1, le=100, description="Pictures in a row with motion before an event begins."
    )
    event_gap: float = Field(
        default=3.0, ge=0.5, le=3600, description="Seconds without motion after which an event has ended."
    )
    mask: tuple[Polygon, ...] = Field(
        default=(),
        max_length=64,
        description="Polygons in which motion is ignored: lists of points [x, y], 0 to 1 from the top left corner.",
    )
    pre_capture: float = Field(
        default=2.0, ge=0, le=30, description="How many seconds before an event its first snapshot is from."
    )


class Retain(Model):
    """How long snapshots are kept; what comes first decides. The oldest go first."""

    days: float | None = Field(
        default=14.0, gt=0, le=36_500, description="Days that snapshots are kept; null: no limit."
    )
    max_size: Size | None = Field(
        default=5 * GIGABYTE, description="Most that its snapshots may take, such as 500MB or 5GB; null: no limit."
    )


class Snapshots(Model):
    """Pictures that are saved of each motion event."""

    enabled: bool = Field(default=True, description="Whether pictures of motion events are saved.")
    quality: int = Field(default=85, ge=1, le=100, description="JPEG quality of snapshots, 1 to 100.")
    retain: Retain = Field(default=Retain(), description="How long snapshots are kept.")


class CameraSettings(Model):
    """What can be said of one camera, or in `defaults` of all."""

    username: str | None = Field(
        default=None, min_length=1, max_length=200, description="User name for the camera (network cameras)."
    )
    password: SecretStr | None = Field(
        default=None,
        max_length=200,
        description="Password; ${NAME} takes it from the environment or cameras.env.",
    )
    transport: Literal["tcp", "udp"] = Field(
        default="tcp", description="How RTSP carries the pictures. udp loses some where the network does."
    )
    timeout: float = Field(
        default=5.0, ge=1, le=120, description="Seconds without a byte after which a camera is taken for gone."
    )
    width: int | None = Field(default=None, ge=16, le=16_384, description="Width asked of a device, pixels.")
    height: int | None = Field(default=None, ge=16, le=16_384, description="Height asked of a device, pixels.")
    fps: float | None = Field(default=None, ge=0.1, le=240, description="Pictures per second asked of a device.")
    enabled: bool = Field(default=True, description="Whether the camera is opened at all.")
    detect: Detect = Field(default=Detect(), description="How often pictures are looked at.")
    motion: Motion = Field(default=Motion(), description="What counts as motion.")
    snapshots: Snapshots = Field(default=Snapshots(), description="What is saved of motion events.")


class Camera(CameraSettings):
    """One camera: an `id`, exactly one of `url`, `device` and `replay`, and whatever differs from the defaults."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["url"]}, {"required": ["device"]}, {"required": ["replay"]}]}
    )

    id: Annotated[str, AfterValidator(_check_id), Field(json_schema_extra={"pattern": f"^{ID.pattern}$"})] = Field(
        description="Name in addresses, folders and rows: a-z, 0-9, - and _. Keep it; name can change."
    )
    name: Annotated[str, AfterValidator(_check_name)] = Field(
        default="", max_length=100, description="Name that people see. Default: the id."
    )
    url: Url | None = Field(
        default=None,
        repr=False,
        description="Address of a network camera: rtsp, rtsps, http or https (MJPEG, or video).",
    )
    device: Device | None = Field(
        default=None, description="A camera at this machine: 0, or better /dev/v4l/by-id/…, which stays the same."
    )
    replay: Annotated[str, AfterValidator(addresses.check_replay)] | None = Field(
        default=None,
        description="A recorded file that plays in a loop as if live (relative to this file), or demo:courtyard,"
        " demo:corridor, demo:parking.",
    )
    substream: Url | None = Field(
        default=None,
        repr=False,
        description="The camera's small stream, for small tiles; open only while they are watched. Goes with url.",
    )

    _hidden: tuple[str, ...] = PrivateAttr(())

    @model_validator(mode="before")
    @classmethod
    def _tidy(cls, data: Any) -> Any:
        """Move credentials out of the URLs, and let the name default to the id."""
        if not isinstance(data, dict):
            return data
        data = dict(data)
        identity = data.get("id")
        data.setdefault("name", identity if isinstance(identity, str) and ID.fullmatch(identity) else "?")
        for key in ("url", "substream"):
            _move_credentials(data, key)
        return data

    @model_validator(mode="after")
    def _fits_together(self) -> Camera:
        sources = [key for key in ("url", "device", "replay") if getattr(self, key) is not None]
        if len(sources) != 1:
            found = f"has {' and '.join(sources)}" if sources else "has none of them"
            raise ValueError(f"needs exactly one of url, device and replay ({found})")
        if self.substream is not None and self.url is None:
            raise ValueError("substream: goes with url only")
        if self.url is not None and self.password is not None and self.username is None:
            raise ValueError("password: needs a username with it")
        return self

    @property
    def kind(self) -> Literal["network", "device", "replay"]:
        """Where the pictures come from."""
        return "network" if self.url is not None else "device" if self.device is not None else "replay"

    def address(self, secrets: bool = False) -> str:
        """Where the camera is, in a form for people: without credentials, unless `secrets`."""
        if self.url is not None:
            return self.connect_url() if secrets else self._for_people(self.url)
        if self.device is not None:
            return addresses.same_device(self.device)
        return str(self.replay)

    def connect_url(self, substream: bool = False) -> str:
        """The URL with percent-encoded credentials. Only what opens the camera may see it."""
        bare = self.substream if substream else self.url
        if bare is None:
            raise ValueError(f"camera '{self.id}' has no {'substream' if substream else 'url'}")
        password = None if self.password is None else self.password.get_secret_value()
        return addresses.put_together(bare, self.username, password)

    def secrets(self) -> tuple[str, ...]:
        """Texts that may be shown nowhere."""
        found = [] if self.password is None else [self.password.get_secret_value()]
        for bare in (self.url, self.substream):
            found += addresses.secrets_in(bare) if bare is not None else ()
        return (*found, *self._hidden)

    def hiding(self, texts: tuple[str, ...]) -> Camera:
        """The same camera, that shows none of `texts` in its address: they came from outside the file."""
        paths = [addresses.after_host(bare) for bare in (self.url, self.substream) if bare is not None]
        camera = self.model_copy()
        camera._hidden = tuple(text for text in texts if any(text in path for path in paths))
        return camera

    def _for_people(self, bare: str) -> str:
        for text in self._hidden:
            bare = bare.replace(text, "…")
        return addresses.for_people(bare)


class Storage(Model):
    """The disk that snapshots are on."""

    reserve: Size | None = Field(
        default=None,
        description="Free space under which no more snapshots are saved. Default: 500 MB, or 5 % of the disk if more.",
    )


class Config(Model):
    """All of cameras.yaml, checked. `warnings`: what works but should be changed, one line each."""

    cameras: tuple[Camera, ...] = ()
    storage: Storage = Storage()
    timezone: str | None = None
    warnings: tuple[str, ...] = ()

    def secrets(self) -> tuple[str, ...]:
        """Texts that may be shown nowhere, of all cameras."""
        return tuple(dict.fromkeys(secret for camera in self.cameras for secret in camera.secrets()))


class File(Model):
    """Cameras of one dashboard (cameras.yaml)."""

    defaults: CameraSettings = Field(
        default=CameraSettings(), description="Settings of all cameras that do not say otherwise."
    )
    cameras: Annotated[tuple[Camera, ...], Field(max_length=MAX_CAMERAS)] = Field(
        description="The cameras, in the order in which they are shown."
    )
    storage: Storage = Field(default=Storage(), description="How much of the disk snapshots leave free.")
    timezone: Annotated[str, AfterValidator(_check_timezone)] | None = Field(
        default=None, description="Time zone of all times shown, such as Europe/Berlin. Default: the machine's."
    )


def sections(model: type[BaseModel]) -> dict[str, type[Model]]:
    """The keys of a model that hold keys themselves, each with its model."""
    kinds = {key: field.annotation for key, field in model.model_fields.items()}
    return {key: kind for key, kind in kinds.items() if isinstance(kind, type) and issubclass(kind, Model)}


def resolved(camera: Camera, folder: Path) -> Camera:
    """The camera with its `replay` path taken relative to `folder`; `demo:` names stay."""
    if camera.replay is None or camera.replay.startswith("demo:"):
        return camera
    return camera.model_copy(update={"replay": str((folder / camera.replay).absolute())})


def _move_credentials(data: dict[str, Any], key: str) -> None:
    url = data.get(key)
    if not isinstance(url, str):
        return
    try:
        parts = addresses.take_apart(url)
    except ValueError:
        return  # the field's own validator says what is wrong
    if parts.username is None:
        return
    login = {"username": parts.username, "password": parts.password}
    for name, value in login.items():
        given = data.get(name)
        given = given.get_secret_value() if isinstance(given, SecretStr) else given
        if given is not None and given != value:
            raise ValueError(f"{key}: has a user name or password, and so has {name}; keep one of them")
    data[key] = parts.bare
    data["username"] = parts.username
    if parts.password is not None:
        data["password"] = SecretStr(parts.password)
