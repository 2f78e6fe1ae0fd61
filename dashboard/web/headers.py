"""The headers that every answer carries, pages and streams alike, and nothing that depends on a route."""

from __future__ import annotations

from dashboard.web.access import camera_of

POLICY = "; ".join(
    (
        "default-src 'self'",
        "img-src 'self' blob: data:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)

_ALWAYS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def security_headers(path: str) -> dict[str, str]:
    """Headers for the answer to `path`. Everything but the static files is private to one login: never stored.

    An address that may carry an access token is told to nobody, not even to this server.
    """
    if path.startswith("/static/"):
        return _ALWAYS
    private = {**_ALWAYS, "Cache-Control": "no-store"}
    return {**private, "Referrer-Policy": "no-referrer"} if camera_of("GET", path) else private
