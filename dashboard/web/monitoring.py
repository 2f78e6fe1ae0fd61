"""What monitoring asks for: whether all is well, and the figures. The figures are made elsewhere."""

from __future__ import annotations

from flask import Blueprint, Response

from dashboard.web.parts import current_parts

blueprint = Blueprint("monitoring", __name__)


@blueprint.get("/healthz")
def healthz() -> Response:
    """Public, so it tells nothing but this."""
    good = current_parts().healthy()
    return Response("ok\n" if good else "not ok\n", 200 if good else 503, mimetype="text/plain")


@blueprint.get("/metrics")
def metrics() -> Response:
    """In Prometheus' text format."""
    return Response(current_parts().metrics(), content_type="text/plain; version=0.0.4; charset=utf-8")
