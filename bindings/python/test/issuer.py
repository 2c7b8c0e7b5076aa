"""An issuer for tests: a key, a server that publishes it and can be made to fail, and tokens signed by somebody else's library,
so that the reader is not tested against itself."""

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms

KEYS: dict[str, Callable[[], Any]] = {
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "RS256": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
}


class Issuer:
    def __init__(self, algorithm: str = "EdDSA") -> None:
        self.urls: list[str] = []
        self.rotate(algorithm)
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.urls.append(self.path)
                issuer.answer(self)

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda request, address: None  # readers hang up on purpose
        self.server.block_on_close = False
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """What the server does with a request; publishes the keys unless a test says otherwise."""
        send(request, 200, self.jwks)

    def rotate(self, algorithm: str) -> None:
        self.algorithm, self.key = algorithm, KEYS[algorithm]()
        self.kid = f"key_{time.monotonic_ns()}"
        self.jwk = json.loads(get_default_algorithms()[algorithm].to_jwk(self.key.public_key()))
        self.jwks = {"keys": [{**self.jwk, "use": "sig", "alg": algorithm, "kid": self.kid}]}

    def token(self, header: dict[str, Any] | None = None, **claims: Any) -> str:
        now = int(time.time())
        usual = {
            "iss": self.url, "sub": "user_1", "aud": "api", "client_id": "app_1", "iat": now, "exp": now + 300, "jti": "token_1",
            "org_id": "org_1", "flags_rev": 41, "feature_flags": {"new_ai_model": {"t": "b", "v": True}},
        }  # fmt: skip
        headers = {"typ": "at+jwt", "kid": self.kid, **(header or {})}
        return jwt.encode({**usual, **claims}, self.key, self.algorithm, headers)

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def send(request: BaseHTTPRequestHandler, status: int, body: Any, **headers: str) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    request.send_response(status)
    for name, value in headers.items():
        request.send_header(name, value)
    request.send_header("Content-Length", str(len(content)))
    request.end_headers()
    request.wfile.write(content)
