"""The published `workos` package for Python: signing in at the page, the sealed session, flags, and the runtime client."""

import json
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.fernet import Fernet
from workos import WorkOSClient
from workos.session import seal_session_from_auth_response

ROOT = Path(__file__).parents[3]
sys.path += [str(ROOT / "tests/sdk"), str(ROOT / "bindings/python/test")]

from server import Server  # noqa: E402
from sign_in import Browser  # noqa: E402

FLAG = "snippet-synthesis"
REDIRECT_URI = "http://localhost:3000/callback"
PASSWORD = "planted horse battery staple"
COOKIE_PASSWORD = Fernet.generate_key().decode()


class Installation:
    def __init__(self, folder: Path) -> None:
        self.server = Server(folder)
        self.call = self.server.call
        document = {"name": "From WorkOS", "environment": "production", "profile": "workos", "redirect_uris": [REDIRECT_URI]}
        client_id = self.call("POST", "/v1/applications", document)["client_id"]
        key = {"name": "WorkOS", "role": "administrator", "environment": "production"}
        api_key = self.call("POST", "/v1/api-keys", key)["key"]
        self.client = WorkOSClient(api_key=api_key, client_id=client_id, base_url=self.server.url)
        self.flag(FLAG)

    def flag(self, key: str, **more: Any) -> None:
        self.call("POST", "/v1/flags", {"key": key, "type": "boolean", "default_value": False, **more})

    def user(self, name: str, *organizations: str) -> str:
        user = {"id": name, "email": f"{name}@example.com", "name": "Ada Lovelace", "password": PASSWORD}
        self.call("POST", "/v1/users", user)
        for organization in organizations:
            self.call("POST", "/v1/organizations", {"id": organization})
            self.call("PUT", f"/v1/organizations/{organization}/members/{name}", {"roles": ["admin"]})
        return f"{name}@example.com"

    def served(self, flag: str, user: str | None, organization: str | None) -> bool:
        query = "".join(f"&{name}={id}" for name, id in [("user", user), ("organization", organization)] if id)
        value: bool = self.call("GET", f"/v1/evaluate?environment=production{query}")["flags"][flag]["value"]
        return value

    def sign_in(self, email: str, **answers: str) -> Any:
        """Signs in at the page; answers what the SDK makes of the code."""
        asked = self.client.user_management.get_authorization_url_with_pkce(provider="authkit", redirect_uri=REDIRECT_URI)
        back = urlsplit(Browser().sign_in(asked["url"], email=email, password=PASSWORD, **answers))
        query = parse_qs(back.query)
        assert query["state"] == [asked["state"]]
        return self.client.user_management.authenticate_with_code_pkce(
            code=query["code"][0], code_verifier=asked["code_verifier"]
        )

    def session(self, answer: Any) -> Any:
        sealed = seal_session_from_auth_response(
            access_token=answer.access_token,
            refresh_token=answer.refresh_token,
            user=answer.user.to_dict(),
            cookie_password=COOKIE_PASSWORD,
        )
        return self.client.user_management.load_sealed_session(session_data=sealed, cookie_password=COOKIE_PASSWORD)


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    installation = Installation(tmp_path_factory.mktemp("server"))
    yield installation
    installation.server.stop()


def test_a_user_signs_in_and_a_changed_rule_is_seen_by_the_next_refresh(installation: Installation) -> None:
    email = installation.user("user_first", "org_first")
    installation.server.target(FLAG, audience="none")
    answer = installation.sign_in(email)
    assert (answer.user.email, answer.user.first_name, answer.user.last_name) == (email, "Ada", "Lovelace")
    assert (answer.organization_id, answer.authentication_method) == ("org_first", "Password")

    session = installation.session(answer)
    before = session.authenticate()
    assert before.authenticated, before.reason
    assert (before.feature_flags, before.organization_id, before.role) == ([], "org_first", "admin")
    installation.server.target(FLAG, audience="some", organizations=["org_first"])
    after = session.refresh()
    assert after.authenticated, after.reason
    assert (after.feature_flags, after.session_id) == ([FLAG], before.session_id)
    # Without being asked to, Python names no organization: the session keeps its own.
    assert after.organization_id == "org_first"
    keys = json.load(urllib.request.urlopen(f"{installation.server.url}/sso/jwks/{installation.client.client_id}"))["keys"]
    assert {"EdDSA", "RS256"} <= {key["alg"] for key in keys}


def test_an_organization_is_chosen_at_the_page_and_switched_by_a_refresh(installation: Installation) -> None:
    email = installation.user("user_switching", "org_one", "org_two")
    installation.server.target(FLAG, audience="some", organizations=["org_two"])
    session = installation.session(installation.sign_in(email, organization="org_one"))
    assert session.authenticate().feature_flags == []
    switched = session.refresh(organization_id="org_two")
    assert (switched.organization_id, switched.feature_flags) == ("org_two", [FLAG])
    installation.user("user_elsewhere", "org_three")
    refused = session.refresh(organization_id="org_three")
    assert not refused.authenticated
    assert session.refresh().organization_id == "org_two"


def test_a_revoked_session_and_a_reused_token_are_typed_failures(installation: Installation) -> None:
    email = installation.user("user_revoked")
    session = installation.session(installation.sign_in(email))
    session_id = session.authenticate().session_id
    listed = installation.client.user_management.list_sessions("user_revoked")
    assert [(found.id, found.status, found.auth_method) for found in listed.data] == [(session_id, "active", "password")]
    installation.client.user_management.revoke_session(session_id=session_id)
    refused = session.refresh()
    assert not refused.authenticated
    assert "error=invalid_grant" in str(refused.reason)

    answer = installation.sign_in(email)
    first = installation.session(answer)
    first.refresh()
    first.refresh()
    thief = installation.session(answer).refresh()
    assert not thief.authenticated and "error=invalid_grant" in str(thief.reason)
    assert not first.refresh().authenticated


def test_flags_are_listed_read_switched_and_targeted(installation: Installation) -> None:
    flags = installation.client.feature_flags
    installation.flag("listed", description="a flag", owner="ada@example.org")
    installation.user("user_listed", "org_listed")
    flag = flags.get_feature_flag("listed")
    assert (flag.slug, flag.description, flag.enabled, flag.default_value) == ("listed", "a flag", True, False)
    assert flag.owner is not None and flag.owner.email == "ada@example.org"
    known = {found["key"] for found in installation.call("GET", "/v1/flags?limit=200")["data"]}
    assert {found.slug for found in flags.list_feature_flags(limit=1).auto_paging_iter()} == known
    flags.add_flag_target(slug="listed", resource_id="org_listed")
    assert "listed" in {found.slug for found in flags.list_organization_feature_flags("org_listed").data}
    assert "listed" in {found.slug for found in flags.list_user_feature_flags("user_listed").data}
    assert not flags.disable_feature_flag("listed").enabled
    assert installation.served("listed", None, "org_listed") is False
    assert flags.enable_feature_flag("listed").enabled
    flags.remove_flag_target(slug="listed", resource_id="org_listed")
    assert installation.served("listed", None, "org_listed") is False


def test_the_runtime_client_evaluates_to_what_the_issuer_serves_and_sees_a_flag_turn(installation: Installation) -> None:
    some = {"type": "some", "users": ["user_a"], "organizations": ["org_b"]}
    everybody = {"type": "all"}
    settings: dict[str, dict[str, Any]] = {
        "nobody": {},
        "some": {"rules": [{"audience": some, "serve": {"value": True}}]},
        "all": {"rules": [{"audience": everybody, "serve": {"value": True}}]},
        "except": {"rules": [{"audience": some, "serve": {"value": False}}, {"audience": everybody, "serve": {"value": True}}]},
        "off": {"enabled": False, "value": True},
    }
    for name, setting in settings.items():
        installation.flag(f"{name}-r")
        installation.call("PUT", f"/v1/flags/{name}-r/environments/production", {"enabled": True, **setting})
    installation.flag("held-r")
    installation.call("PUT", "/v1/flags/held-r/environments/production", {"enabled": True, "value": True})
    installation.call("PUT", "/v1/flags/held-r/users/user_a", {"value": False})

    turned = threading.Event()
    runtime = installation.client.create_feature_flags_runtime_client(
        polling_interval=5, on_change=lambda _: turned.set()
    )
    with runtime:
        runtime.wait_until_ready(timeout=10)
        for name in [*settings, "held"]:
            for user in ["user_a", "user_b", None]:
                for organization in ["org_a", "org_b", None]:
                    context = {key: id for key, id in [("user", user), ("organization", organization)] if id}
                    served = installation.served(f"{name}-r", user, organization)
                    assert runtime.is_enabled(f"{name}-r", context) is served, (name, context)
        turned.clear()
        installation.server.target("nobody-r", audience="all")
        assert turned.wait(10)
        assert runtime.is_enabled("nobody-r", {"user": "user_b"}) is True
