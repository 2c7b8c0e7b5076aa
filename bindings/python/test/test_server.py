"""Against a running server: sign in, read, change a rule, refresh, read again."""

import asyncio
from typing import Annotated, Any

import httpx
from fastapi import Depends, FastAPI
from server import Server

from flagbearer import Flagbearer, FlagSet
from flagbearer.fastapi import Flags


def test_a_changed_rule_is_seen_after_the_refresh(server: Server) -> None:
    server.call("POST", "/v1/flags", {"key": "new_ai_model", "type": "boolean", "default_value": False})
    server.call("POST", "/v1/flags", {"key": "ai_token_limit", "type": "integer", "default_value": 1000})
    application = server.application()
    reader = Flagbearer(issuer=server.url, audience=application)
    app, flags = FastAPI(), Flags(reader)

    @app.get("/")
    async def read(flags: Annotated[FlagSet, Depends(flags)]) -> dict[str, Any]:
        return {"on": flags.get_boolean_flag("new_ai_model", False), "limit": flags.get_integer_flag("ai_token_limit", 0)}

    def get(tokens: Any) -> Any:
        async def request() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app") as client:
                return await client.get("/", headers={"Authorization": f"Bearer {tokens['access_token']}"})

        response = asyncio.run(request())
        assert response.status_code == 200, response.text
        return response.json()

    older = server.sign_in(application, "alice", "org_x")
    assert get(older) == {"on": False, "limit": 1000}
    server.target("new_ai_model", audience="some", organizations=["org_x"])
    server.target("ai_token_limit", audience="some", users=["alice"], value=5000)
    assert get(older) == {"on": False, "limit": 1000}, "a token says what it was issued with"
    newer = server.refresh(application, older)
    assert get(newer) == {"on": True, "limit": 5000}
    assert get(server.sign_in(application, "bob", "org_y")) == {"on": False, "limit": 1000}

    flags_now, flags_then = (reader.verify(tokens["access_token"]) for tokens in (newer, older))
    assert flags_now.changed_from(flags_then) == ["ai_token_limit", "new_ai_model"]
    assert flags_now.organization == "org_x" and flags_now.flags_revision == newer["flags_rev"]

    unseen = server.refresh(application, newer)
    server.stop()
    for tokens in (unseen, newer):
        assert reader.verify(tokens["access_token"]).get_boolean_flag("new_ai_model", False) is True
