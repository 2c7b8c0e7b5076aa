"""FastAPI, Flask and Django, each as its users have it: a request in, an answer out."""

import asyncio
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Annotated, Any

import pytest
from issuer import Issuer
from web import send

from flagbearer import Flagbearer, FlagSet

Get = Callable[..., SimpleNamespace]


def answer(status: int, headers: Any, body: Any) -> SimpleNamespace:
    return SimpleNamespace(status=status, headers=headers, body=body)


def fastapi_app(reader: Flagbearer) -> Get:
    import fastapi
    import httpx

    from flagbearer.fastapi import Flags

    app, flags = fastapi.FastAPI(), Flags(reader)

    @app.get("/")
    async def read(flags: Annotated[FlagSet, fastapi.Depends(flags)]) -> dict[str, bool]:
        return {"on": flags.get_boolean_flag("new_ai_model", False)}

    @app.get("/open")
    async def healthy() -> dict[str, bool]:
        return {"on": True}

    def get(path: str = "/", **headers: str) -> SimpleNamespace:
        async def request() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app") as client:
                return await client.get(path, headers=headers)

        response = asyncio.run(request())
        body = response.json()
        return answer(response.status_code, response.headers, body.get("detail", body))

    assert app.openapi()["paths"]["/"]["get"]["security"] == [{"flagbearer": []}]
    assert app.openapi()["components"]["securitySchemes"]["flagbearer"]["scheme"] == "bearer"
    return get


def flask_app(reader: Flagbearer) -> Get:
    import flask

    from flagbearer.flask import Flags

    app, closed = flask.Flask(__name__), flask.Blueprint("closed", __name__)
    Flags(closed, reader)

    @closed.get("/")
    def read() -> dict[str, bool]:
        return {"on": flask.g.flags.get_boolean_flag("new_ai_model", False)}

    @app.get("/open")
    def healthy() -> dict[str, bool]:
        return {"on": True}

    app.register_blueprint(closed)

    def get(path: str = "/", **headers: str) -> SimpleNamespace:
        response = app.test_client().get(path, headers=headers)
        return answer(response.status_code, response.headers, response.json)

    return get


def django_app(reader: Flagbearer, *, asynchronous: bool) -> Get:
    import django
    from django.conf import settings
    from django.http import HttpRequest, JsonResponse
    from django.test import AsyncClient, Client, override_settings
    from django.urls import path as route

    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["*"], MIDDLEWARE=["flagbearer.django.FlagsMiddleware"])
        django.setup()

    def read(request: HttpRequest) -> JsonResponse:
        return JsonResponse({"on": request.flags.get_boolean_flag("new_ai_model", False)})  # type: ignore[attr-defined]

    def healthy(request: HttpRequest) -> JsonResponse:
        return JsonResponse({"on": not hasattr(request, "flags")})

    urls = ModuleType("urls")
    urls.urlpatterns = [route("", read), route("open", healthy), route("open/x", healthy), route("opened", healthy)]  # type: ignore[attr-defined]

    def get(path: str = "/", exempt: Any = ("/open",), **headers: str) -> SimpleNamespace:
        with override_settings(ROOT_URLCONF=urls, FLAGBEARER=reader, FLAGBEARER_EXEMPT=exempt):
            if asynchronous:
                response: Any = asyncio.run(AsyncClient().get(path, headers=headers))
            else:
                response = Client().get(path, headers=headers)
        return answer(response.status_code, response.headers, response.json())

    assert get("/open/x").status == 200 and get("/opened").status == 401
    return get


APPS: dict[str, Callable[[Flagbearer], Get]] = {
    "FastAPI": fastapi_app,
    "Flask": flask_app,
    "Django": lambda reader: django_app(reader, asynchronous=False),
    "Django, asynchronous": lambda reader: django_app(reader, asynchronous=True),
}


@pytest.fixture(params=APPS.values(), ids=APPS.keys())
def get(request: pytest.FixtureRequest, reader: Flagbearer) -> Get:
    app: Callable[[Flagbearer], Get] = request.param
    return app(reader)


def test_a_request_with_a_good_token_has_its_flags(issuer: Issuer, get: Get) -> None:
    for scheme in ("Bearer", "bearer", "BEARER "):
        response = get(authorization=f"{scheme} {issuer.token()}")
        assert (response.status, response.body) == (200, {"on": True})


def test_a_request_without_a_good_token_is_answered_401_with_the_code(issuer: Issuer, get: Get) -> None:
    expired = issuer.token(exp=1_700_000_000)
    for authorization, code, shown in [
        (None, "TOKEN_MALFORMED", False),
        ("Bearer", "TOKEN_MALFORMED", False),
        ("Basic dXNlcjpwYXNz", "TOKEN_MALFORMED", False),
        (f"Bearer {expired} {expired}", "TOKEN_MALFORMED", False),
        ("Bearer garbage", "TOKEN_MALFORMED", True),
        (f"Bearer {expired}", "TOKEN_EXPIRED", True),
    ]:
        response = get(**({"authorization": authorization} if authorization else {}))
        assert (response.status, response.body["code"]) == (401, code)
        assert response.headers["www-authenticate"] == ('Bearer error="invalid_token"' if shown else "Bearer")
        assert response.body["message"]


def test_without_keys_the_answer_is_503_for_the_token_may_be_good(issuer: Issuer, get: Get) -> None:
    issuer.answer = lambda request: send(request, 500, b"")  # type: ignore[method-assign]
    response = get(authorization=f"Bearer {issuer.token()}")
    assert (response.status, response.headers["retry-after"]) == (503, "5")


def test_flask_answers_what_browsers_ask_before_they_send_a_token_and_no_view_does(reader: Flagbearer) -> None:
    import flask

    from flagbearer.flask import Flags

    app = flask.Flask(__name__)
    Flags(app, reader)
    app.add_url_rule("/", "read", lambda: "flags")
    app.add_url_rule("/own", "own", lambda: "its own answer", methods=["OPTIONS"])
    client = app.test_client()
    assert [client.open(path, method="OPTIONS").status_code for path in ("/", "/own", "/nowhere")] == [200, 401, 401]
    assert client.get("/").status_code == 401


def test_a_web_socket_has_its_flags_too(issuer: Issuer, reader: Flagbearer) -> None:
    import fastapi

    from flagbearer.fastapi import Flags

    app, flags = fastapi.FastAPI(), Flags(reader)

    @app.websocket("/")
    async def talk(socket: fastapi.WebSocket, flags: Annotated[FlagSet, fastapi.Depends(flags)]) -> None:
        await socket.accept()
        await socket.send_json(flags.get_all_flags())

    def connect(authorization: str) -> list[Any]:
        sent: list[Any] = []

        async def receive() -> dict[str, str]:
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(b"authorization", authorization.encode())]
        scope = {
            "type": "websocket", "path": "/", "query_string": b"", "headers": headers, "extensions": {"websocket.http.response": {}},
        }  # fmt: skip
        asyncio.run(app(scope, receive, send))
        return sent

    accepted, said = connect(f"Bearer {issuer.token()}")
    assert (accepted["type"], said["text"]) == ("websocket.accept", '{"new_ai_model":true}')
    refusal = connect("Bearer garbage")[0]
    assert (refusal["type"], refusal["status"]) == ("websocket.http.response.start", 401)


def test_what_is_open_stays_open(get: Get) -> None:
    assert get("/open").body == {"on": True}


def test_an_exempt_front_page_opens_nothing_but_itself(reader: Flagbearer) -> None:
    get = django_app(reader, asynchronous=False)
    assert get("/opened", exempt=["/", "//"]).status == 401
    assert get("/open", exempt=["/open/"]).status == 401
    assert get("/open/x", exempt=["/open/"]).status == 200


@pytest.mark.parametrize("exempt", ["/open", [""], ["open"]], ids=repr)
def test_exempt_paths_that_would_open_more_than_was_meant_are_refused(reader: Flagbearer, exempt: Any) -> None:
    from django.core.exceptions import ImproperlyConfigured

    get = django_app(reader, asynchronous=False)
    with pytest.raises(ImproperlyConfigured, match="list of paths"):
        get("/open", exempt=exempt)
