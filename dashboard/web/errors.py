"""Errors as answers: our error tree and HTTP's own, in one place, as a page for people and as JSON for programs."""

from __future__ import annotations

import logging

from flask import Flask, Response, jsonify, make_response, render_template, request
from werkzeug.exceptions import HTTPException

from dashboard.errors import DashboardError, DiskReserved, NotFound, StoreError
from dashboard.web import pages
from dashboard.web.guard import FOR_MACHINES

log = logging.getLogger(__name__)

WORDS = {
    400: ("That request makes no sense", "Something in the address or the form is not as it should be."),
    401: ("Sign in first", "This needs a login."),
    403: ("Not allowed", "Your account may not do this."),
    404: ("Not here", "There is nothing at this address. It may have been deleted, or never was."),
    405: ("Not that way", "This address does not take that kind of request."),
    413: ("Too large", "More was sent than is accepted here."),
    429: ("Too often", "Too many requests in a short time. Wait a little, then try again."),
    500: ("Something broke", "An error inside the dashboard; its log says more. The cameras are not affected."),
    503: ("Not now", "The dashboard is busy or cannot reach its data. Try again in a moment."),
}

_STATUS: tuple[tuple[type[DashboardError], int], ...] = (
    (NotFound, 404),
    (DiskReserved, 503),
    (StoreError, 503),
)


def answer(status: int, text: str = "") -> Response:
    """An error as the asker understands it: `{"error": …}` below /api, a page elsewhere."""
    title, usual = WORDS.get(status, ("This did not work", "The dashboard cannot answer this request."))
    text = text or usual
    if request.path.startswith(FOR_MACHINES):
        response = jsonify(error=text)
    else:
        response = make_response(render_template("error.html", status=status, title=title, text=text))
    response.status_code = status
    return response


def register(app: Flask) -> None:
    """Turn every error of `app` into an answer in the look of the house."""
    pages.register(app)

    @app.errorhandler(HTTPException)
    def http(error: HTTPException) -> Response:
        status = error.code or 500
        own = error.description if error.description != type(error).description else ""
        response = answer(status, own or "")
        for name, value in error.get_headers():
            if name.lower() not in {"content-type", "content-length"}:
                response.headers[name] = value
        return response

    @app.errorhandler(DashboardError)
    def ours(error: DashboardError) -> Response:
        status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
        if status >= 500:
            log.error("%s %s: %s", request.method, ascii(request.path[:200]), error)
        return answer(status, str(error) if status == 404 else "")

    @app.errorhandler(Exception)
    def unforeseen(error: Exception) -> Response:
        log.exception("%s %s failed", request.method, ascii(request.path[:200]), exc_info=error)
        return answer(500)
