"""The forms of the account page by which a person makes and revokes access tokens. What one opens is in `access`."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from flask import Blueprint, redirect, request
from werkzeug.wrappers import Response

from dashboard.errors import Refused
from dashboard.web.auth import account_page, signed_in
from dashboard.web.cameras import names
from dashboard.web.parts import current_parts

log = logging.getLogger(__name__)

blueprint = Blueprint("tokens", __name__)

TERMS: dict[str, int | None] = {"7": 7, "30": 30, "90": 90, "365": 365, "never": None}
"""What the form offers, in days."""
USUAL_TERM = "90"
LAST = 2**63 - 1
"""No row has a higher number; beyond it a database raises."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The form as it was filled in, so that a refusal does not empty it."""

    label: str = ""
    every: bool = False
    cameras: tuple[str, ...] = ()
    term: str = USUAL_TERM

    @classmethod
    def sent(cls) -> Asked:
        form = request.form
        return cls(form.get("label", "").strip(), "every" in form, tuple(form.getlist("camera")), form.get("term", ""))

    def findings(self) -> str:
        """What is wrong with it, in words; "" for nothing. The label is judged where it is kept."""
        if self.term not in TERMS:
            return "Choose how long the token is good."
        if not self.every and not self.cameras:
            return "Choose the cameras that the program may see."
        if not self.every and not set(self.cameras) <= names().keys():
            return "One of these cameras is not there any more."
        return ""


@blueprint.post("/account/tokens")
def make() -> str | tuple[str, int]:
    """Answers with the page that shows the token: it is kept nowhere, so there is nothing to be sent on to."""
    visitor, asked = signed_in(), Asked.sent()
    if found := asked.findings():
        return account_page(asked=asked, token_error=found), 400
    cameras = None if asked.every else asked.cameras
    try:
        token = current_parts().tokens.make(visitor.user_id, asked.label, cameras, TERMS[asked.term])
    except Refused as error:
        text = str(error)
        return account_page(asked=asked, token_error=f"{text[:1].upper()}{text[1:]}."), 400
    log.info("%s made the access token %s from %s", ascii(visitor.name), ascii(asked.label), request.remote_addr)
    return account_page(made=token, made_label=asked.label, examples=_examples(token, cameras))


@blueprint.post(f"/account/tokens/<int(max={LAST}):number>/revoke")
def revoke(number: int) -> Response:
    visitor = signed_in()
    current_parts().tokens.revoke(number, visitor.user_id)
    log.info("%s revoked an access token from %s", ascii(visitor.name), request.remote_addr)
    return redirect("/account?done=token#access")


def _examples(token: str, cameras: tuple[str, ...] | None) -> list[tuple[str, str]]:
    """What for, and an address ready to be copied, as this browser knows the server."""
    camera = next((each for each in names() if cameras is None or each in cameras), "CAMERA")
    here = request.host_url.rstrip("/")
    scheme, _, host = here.partition("://")
    return [
        ("Live, as MJPEG: Home Assistant, browsers, ffmpeg", f"{here}/video_feed/{camera}?token={token}"),
        ("Live, the camera's own video: VLC, ffmpeg, Home Assistant", f"{here}/live/{camera}.mp4?token={token}"),
        ("The newest picture", f"{here}/api/cameras/{camera}/latest.jpg?token={token}"),
        ("Live, for players that take a password", f"{scheme}://token:{token}@{host}/video_feed/{camera}"),
    ]
