"""First verification of a token, verification of the same token again, and reading of a flag, beside PyJWT and joserfc doing
the same: `bench/run`. CPU time, because it is the figure that a shared machine disturbs least; rounds alternate, medians are
printed. Each peer has its key parsed beforehand, and checks what we check as far as it can."""

import json
import time
import warnings
from collections.abc import Callable
from statistics import median
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from joserfc import jwt as joserfc
from joserfc.errors import SecurityWarning
from joserfc.jwk import import_key
from jwt.algorithms import get_default_algorithms

from flagbearer import Flagbearer

ISSUER, TOKENS, ROUNDS = "https://flags.example.com", 200, 15
KEYS: dict[str, Callable[[], Any]] = {
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "RS256": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
}


def flag(index: int) -> dict[str, Any]:
    if index % 10 < 6:
        return {"t": "b", "v": True}
    if index % 10 < 8:
        return {"t": "s", "v": "variant-b"}
    return {"t": "i", "v": 5000} if index % 10 == 8 else {"t": "j", "v": {"max_tokens": 4096, "model": "gpt-4o"}}


FLAGS = {f"feature_number_{i:02}": flag(i) for i in range(30)}


def claims(index: int) -> dict[str, Any]:
    now = int(time.time())
    return {
        "iss": ISSUER, "sub": "user_01J9ZZ2V9P3T", "aud": "api", "client_id": "app_01J9ZZ2V9P3T", "iat": now, "exp": now + 3600,
        "jti": f"token_{index}", "sid": "session_01J9ZZ2V9P3T", "auth_time": now, "org_id": "org_01J9ZZ2V9P3T", "flags_rev": 41,
        "feature_flags": FLAGS,
    }  # fmt: skip


def cpu(work: Callable[[Any], bool], tokens: list[str]) -> float:
    """Microseconds of CPU for one call."""
    before = time.process_time_ns()
    for token in tokens:
        if work(token) is not True:
            raise AssertionError("the flag was not read")
    return (time.process_time_ns() - before) / len(tokens) / 1000


def measure(contestants: list[tuple[Callable[[Any], bool], Callable[[], list[str]]]]) -> list[float]:
    rounds: list[list[float]] = [[] for _ in contestants]
    for turn in range(-2, ROUNDS):
        for measured, (work, tokens) in zip(rounds, contestants, strict=True):
            figure = cpu(work, tokens())
            if turn >= 0:
                measured.append(figure)
    return [median(measured) for measured in rounds]


def compare(algorithm: str) -> list[float]:
    private = KEYS[algorithm]()
    public = private.public_key()
    jwk = {**json.loads(get_default_algorithms()[algorithm].to_jwk(public)), "kid": "key", "alg": algorithm, "use": "sig"}
    jwks = json.dumps({"keys": [jwk]}).encode()
    serial = iter(range(10**9))

    def sign() -> str:
        return jwt.encode(claims(next(serial)), private, algorithm, {"typ": "at+jwt", "kid": "key"})

    # Each round has tokens that nobody has seen; once more as copies, as they come with each request.
    fresh = lambda: [sign() for _ in range(TOKENS)]  # noqa: E731
    seen = fresh()
    copies = lambda: [token.encode().decode() for token in seen]  # noqa: E731

    reader = Flagbearer(issuer=ISSUER, audience="api", fetch=lambda url: jwks)
    key = import_key(jwk)
    # joserfc warns of the name that all issuers still use.
    warnings.simplefilter("ignore", SecurityWarning)
    registry = joserfc.JWTClaimsRegistry(iss={"essential": True, "value": ISSUER}, aud={"essential": True, "value": "api"})

    def ours(token: str) -> bool:
        return reader.verify(token).get_boolean_flag("feature_number_15", False)

    def pyjwt(token: str) -> bool:
        found = jwt.decode(token, public, [algorithm], issuer=ISSUER, audience="api")
        return bool(found["feature_flags"]["feature_number_15"]["v"])

    def joserfcs(token: str) -> bool:
        found = joserfc.decode(token, key, [algorithm])
        registry.validate(found.claims)
        return bool(found.claims["feature_flags"]["feature_number_15"]["v"])

    return measure([(ours, fresh), (pyjwt, fresh), (joserfcs, fresh), (ours, copies), (pyjwt, copies), (joserfcs, copies)])


def read() -> float:
    """Nanoseconds of CPU for one read, with keys built at run time, as those that come with a request are."""
    from flagbearer import FlagSet

    get = FlagSet.of({f"feature_number_{i:02}": True for i in range(30)}).get_boolean_flag
    keys = [f"feature_number_{i:02}" for i in range(30)] * 10_000
    figures = []
    for _ in range(9):
        before = time.process_time_ns()
        for key in keys:
            get(key, False)
        spent = time.process_time_ns() - before
        before = time.process_time_ns()
        for key in keys:
            pass
        figures.append((spent - (time.process_time_ns() - before)) / len(keys))
    return median(figures)


def main() -> None:
    print("µs of CPU, verification and one read         ours     PyJWT   joserfc   ours/the faster peer")
    for algorithm in KEYS:
        figures = compare(algorithm)
        for name, (us, pyjwt, joserfcs) in (("first", figures[:3]), ("again", figures[3:])):
            ratio = us / min(pyjwt, joserfcs)
            print(f"{algorithm} {name}".ljust(40) + f"{us:9.1f} {pyjwt:9.1f} {joserfcs:9.1f} {ratio:22.2f}")
    print(f"reading a flag afterwards: {read():.0f} ns of CPU")


if __name__ == "__main__":
    main()
