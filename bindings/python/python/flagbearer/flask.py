"""The flags of a request's bearer token in ``g.flags``, for an application or a blueprint::

    Flags(app, Flagbearer(issuer="https://flags.example.com", audience="api"))

    @app.get("/")
    def read():
        return {"on": g.flags.get_boolean_flag("new_ai_model", False)}
"""

from flask import Blueprint, Flask, Response, g, jsonify, request

from flagbearer import _bearer
from flagbearer._error import FlagbearerError
from flagbearer._reader import Flagbearer

__all__ = ["Flags"]


class Flags:
    """Answers 401 without a good token, and 503 while the issuer's keys cannot be had."""

    def __init__(self, app: Flask | Blueprint, flagbearer: Flagbearer) -> None:
        self._flagbearer = flagbearer
        app.before_request(self._before_request)

    def _before_request(self) -> Response | None:
        # A browser asks without a token whether it may send one. Flask answers that by itself, and no view runs.
        if request.method == "OPTIONS" and getattr(request.url_rule, "provide_automatic_options", False):
            return None
        token = _bearer.token(request.headers.get("Authorization"))
        try:
            g.flags = self._flagbearer.verify(token)
        except FlagbearerError as error:
            status, headers, body = _bearer.refusal(error, token)
            response = jsonify(body)
            response.status_code = status
            response.headers.update(headers)
            return response
        return None
