"""An issuer for tests: a key, a server that publishes it and can be made to fail, and tokens signed by somebody else's library,
so that the reader is not tested against itself."""

import json
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms
from web import Web, send

KEYS: dict[str, Callable[[], Any]] = {
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "RS256": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
}


class Issuer(Web):
    def __init__(self, algorithm: str = "EdDSA") -> None:
        super().__init__()
        self.rotate(algorithm)

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
