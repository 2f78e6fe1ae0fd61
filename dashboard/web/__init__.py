"""The Flask app: pages, forms, JSON. Made here and started elsewhere; the streams have their native home in `asgi`."""

from __future__ import annotations

from flask import Flask, request
from flask.wrappers import Response

from dashboard.resources import resource
from dashboard.web import api, auth, cameras, errors, events, monitoring, streams, tokens, video
from dashboard.web.guard import MAX_BODY, MAX_FIELDS
from dashboard.web.headers import security_headers
from dashboard.web.parts import Parts


def create_app(parts: Parts) -> Flask:
    """A new app over `parts`. Starts nothing: tests make many."""
    app = Flask("dashboard", template_folder=str(resource("templates")), static_folder=str(resource("static")))
    app.extensions["dashboard.parts"] = parts
    app.config.update(MAX_CONTENT_LENGTH=MAX_BODY, MAX_FORM_PARTS=MAX_FIELDS, MAX_FORM_MEMORY_SIZE=MAX_BODY)
    app.json.sort_keys = False  # type: ignore[attr-defined]  # cameras come in the order of the file
    # A redirect to the canonical form of a path would name the Host that the client claims.
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    app.url_map.redirect_defaults = False

    auth.register(app, parts)
    app.register_blueprint(tokens.blueprint)
    app.register_blueprint(cameras.blueprint)
    app.register_blueprint(events.blueprint)
    app.register_blueprint(api.blueprint)
    app.register_blueprint(streams.blueprint)
    app.register_blueprint(monitoring.blueprint)
    app.register_blueprint(video.blueprint)
    errors.register(app)

    @app.after_request
    def secure(response: Response) -> Response:
        for name, value in security_headers(request.path).items():
            response.headers.setdefault(name, value)
        return response

    return app
