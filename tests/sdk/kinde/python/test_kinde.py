"""kinde-python-sdk in a FastAPI application: its own routes sign in and out, `feature_flags` reads. The application runs in
this program, and is visited as a browser would; the server is a real one."""

import asyncio
import json
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient

ROOT = Path(__file__).parents[4]
sys.path[:0] = [str(ROOT / "tests/sdk"), str(ROOT / "bindings/python/test")]

from kinde_fastapi.examples.session import InMemorySessionMiddleware  # noqa: E402
from kinde_sdk.auth import claims, feature_flags, permissions  # noqa: E402
from kinde_sdk.auth.oauth import OAuth  # noqa: E402
from kinde_sdk.core.exceptions import KindeTokenException  # noqa: E402
from server import Server  # noqa: E402
from sign_in import Browser  # noqa: E402

SITE = "http://localhost:8000"
ALICE = {"email": "alice@example.com", "password": "planted horse battery staple"}
FLAGS: dict[str, tuple[str, Any]] = {
    "new_ai_model": ("boolean", False),
    "ai_token_limit": ("integer", 1000),
    "prompt_variant": ("string", "control"),
    "model_config": ("json", {"temperature": 0.7, "max_tokens": 500}),
    "zero": ("integer", 0),
    "empty": ("string", ""),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"))
    try:
        for key, (kind, default) in FLAGS.items():
            server.call("POST", "/v1/flags", {"key": key, "type": kind, "default_value": default})
        server.call("POST", "/v1/organizations", {"id": "org_xyz789", "name": "Pilot customer"})
        server.call("POST", "/v1/users", {"id": "kp_abc123", "name": "Alice Adams", **ALICE})
        member = {"roles": ["admin"], "permissions": ["reports:view"]}
        server.call("PUT", "/v1/organizations/org_xyz789/members/kp_abc123", member)
        yield server
    finally:
        server.stop()


@dataclass
class Site:
    """The application, and the SDK in it."""

    app: FastAPI
    kinde: OAuth

    def visitor(self) -> TestClient:
        return TestClient(self.app, base_url=SITE, follow_redirects=False)


@pytest.fixture(scope="module")
def site(server: Server) -> Site:
    application = server.call(
        "POST",
        "/v1/applications",
        {
            "name": "FastAPI application",
            "environment": "production",
            "profile": "kinde",
            "redirect_uris": [f"{SITE}/callback"],
            "logout_uris": [f"{SITE}/callback"],
            "claims": ["email"],
        },
    )
    app = FastAPI()
    kinde = OAuth(
        framework="fastapi",
        app=app,
        host=server.url,
        client_id=application["client_id"],
        client_secret=application["client_secret"],
        redirect_uri=f"{SITE}/callback",
    )
    app.add_middleware(InMemorySessionMiddleware)

    @app.get("/flags")
    async def flags() -> Any:
        found = {key: await feature_flags.get_flag(key) for key in FLAGS}
        found["absent"] = await feature_flags.get_flag("absent", "the caller's")
        found["missing"] = await feature_flags.get_flag("absent")
        return {key: [flag.value, flag.type, flag.is_default] for key, flag in found.items()}

    @app.get("/claims")
    async def told() -> Any:
        permission = await permissions.get_permission("reports:view")
        return {"email": (await claims.get_claim("email"))["value"], "permission": permission}

    @app.post("/refresh")
    def refresh(request: Request) -> Any:
        manager = kinde._session_manager.get_token_manager(request.session["user_id"])
        manager.refresh_access_token()
        return sorted(name for name in ("access_token", "id_token", "refresh_token") if manager.tokens.get(name))

    return Site(app, kinde)


@pytest.fixture(scope="module")
def alice(site: Site) -> TestClient:
    """Alice's browser, signed in through the page."""
    visitor = site.visitor()
    assert visitor.get("/user").headers["location"].startswith(site.kinde.auth_url)
    login = visitor.get("/login").headers["location"]
    callback = Browser().sign_in(login, **ALICE)
    assert callback.startswith(f"{SITE}/callback?")
    assert visitor.get(callback).status_code == 307
    return visitor


def override(server: Server, flag: str, value: Any) -> None:
    path = f"/v1/flags/{flag}/organizations/org_xyz789?environment=production"
    server.call("PUT", path, {"value": value})


def test_the_endpoints_are_those_that_the_metadata_names(server: Server, site: Site) -> None:
    kinde = site.kinde
    found = [kinde.auth_url, kinde.token_url, kinde.userinfo_url, kinde.logout_url]
    assert found == [server.url + path for path in ("/oauth2/auth", "/oauth2/token", "/oauth2/userinfo", "/logout")]


def test_the_keys_of_our_own_algorithms_stand_beside_those_that_it_knows(server: Server, alice: TestClient) -> None:
    with urllib.request.urlopen(f"{server.url}/.well-known/jwks.json") as response:
        keys = json.load(response)["keys"]
    assert {key["alg"] for key in keys} == {"EdDSA", "ES256", "RS256"}
    assert alice.get("/user").status_code == 200


def test_the_user_is_told(alice: TestClient) -> None:
    user = alice.get("/user").json()
    assert (user["sub"], user["email"], user["given_name"]) == ("kp_abc123", "alice@example.com", "Alice")
    told = alice.get("/claims").json()
    assert told["email"] == "alice@example.com"
    assert (told["permission"]["orgCode"], told["permission"]["isGranted"]) == ("org_xyz789", True)


def test_flags_of_every_type_are_read(alice: TestClient) -> None:
    assert alice.get("/flags").json() == {
        "new_ai_model": [False, "boolean", False],
        "ai_token_limit": [1000, "integer", False],
        "prompt_variant": ["control", "string", False],
        "model_config": [{"temperature": 0.7, "max_tokens": 500}, "unknown", False],
        "zero": [0, "integer", False],
        "empty": ["", "string", False],
        "absent": ["the caller's", "unknown", True],
        "missing": [None, "unknown", True],
    }


def test_a_changed_rule_is_seen_after_a_refresh(server: Server, alice: TestClient) -> None:
    override(server, "new_ai_model", True)
    override(server, "model_config", {"temperature": 0})
    assert alice.get("/flags").json()["new_ai_model"][0] is False
    assert alice.post("/refresh").json() == ["access_token", "id_token", "refresh_token"]
    flags = alice.get("/flags").json()
    assert (flags["new_ai_model"][0], flags["model_config"][0]) == (True, {"temperature": 0})


def test_a_bad_grant_is_an_exception_with_its_reason(site: Site) -> None:
    with pytest.raises(KindeTokenException, match="invalid_grant"):
        asyncio.run(site.kinde.exchange_code_for_tokens("no-such-code", "v" * 43))


def test_logging_out_leads_back_to_the_application(site: Site) -> None:
    visitor, browser = site.visitor(), Browser()
    visitor.get(browser.sign_in(visitor.get("/login").headers["location"], **ALICE))
    assert visitor.get("/flags").json()["zero"] == [0, "integer", False]
    left, _, page = browser.visit(visitor.get("/logout").headers["location"])
    assert (left, page) == (f"{SITE}/callback", None)
    # The browser is not known any more: the next sign-in asks for a password.
    url, status, page = browser.visit(visitor.get("/login").headers["location"])
    assert page is not None and 'name="password"' in page, (url, status)


def test_a_session_that_was_ended_is_not_refreshed(server: Server, alice: TestClient) -> None:
    server.call("DELETE", "/v1/sessions?user=kp_abc123&environment=production")
    with pytest.raises(Exception, match="400 Client Error"):
        alice.post("/refresh")


def test_the_management_calls_take_its_machine_tokens(server: Server) -> None:
    """The package's own management client speaks https alone, so its models are sent here by hand."""
    from kinde_sdk.management.models import CreateFeatureFlagRequest, SuccessResponse

    permitted = {"permissions": ["create:feature_flags"], "environment": "production", "profile": "kinde"}
    machine = server.call("POST", "/v1/applications", {"name": "script", **permitted})
    form = {
        "grant_type": "client_credentials",
        "client_id": machine["client_id"],
        "client_secret": machine["client_secret"],
        "audience": f"{server.url}/api",
    }
    token = json.load(urllib.request.urlopen(f"{server.url}/oauth2/token", urllib.parse.urlencode(form).encode()))
    flag = CreateFeatureFlagRequest(name="Beta", key="beta", type="bool", default_value="true")
    headers = {"Authorization": f"Bearer {token['access_token']}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{server.url}/api/v1/feature_flags", flag.to_json().encode(), headers)
    with urllib.request.urlopen(request) as response:
        assert SuccessResponse.from_json(response.read().decode()).code == "FEATURE_FLAG_CREATED"
