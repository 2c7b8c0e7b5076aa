"""Stands between readers and a server, as a reverse proxy does, hands everything on, and does to the watermark what a test says."""

import socket
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import urlsplit

from web import Web


class Between(Web):
    target: str
    """The address of the server behind."""

    def __init__(self) -> None:
        super().__init__()
        self.meddle: Callable[[BaseHTTPRequestHandler], bool] = lambda request: False
        """Is shown each request for the watermark; whether it has answered."""
        self.told: list[int] = []
        """The status of each answer about the watermark that was handed on."""
        self._open: set[socket.socket] = set()

    def cut(self) -> None:
        """Every connection breaks off."""
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def answer(self, request: Any) -> None:
        watermark = request.path.startswith("/v1/watermark/")
        if watermark and self.meddle(request):
            return
        onward = HTTPConnection(urlsplit(self.target).netloc)
        # Without the reader's address of the server, which is ours.
        headers = {name: value for name, value in request.headers.items() if name.lower() != "host"}
        onward.request("GET", request.path, headers=headers)
        both = {request.connection, onward.sock}
        self._open |= both
        try:
            with onward.getresponse() as response:
                if watermark:
                    self.told.append(response.status)
                request.send_response(response.status)
                for name in ("Content-Type", "Content-Length", "ETag"):
                    if name in response.headers:
                        request.send_header(name, response.headers[name])
                request.end_headers()
                while chunk := response.read1(65536):
                    request.wfile.write(chunk)
        finally:
            self._open -= both
            onward.close()
