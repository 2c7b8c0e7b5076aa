"""The flags of a request's bearer token, as a dependency::

    flags = Flags(Flagbearer(issuer="https://flags.example.com", audience="api"))

    @app.get("/")
    async def read(flags: Annotated[FlagSet, Depends(flags)]) -> bool:
        return flags.get_boolean_flag("new_ai_model", False)
"""

from fastapi import HTTPException
from fastapi.openapi.models import HTTPBearer
from fastapi.requests import HTTPConnection
from fastapi.security.base import SecurityBase

from flagbearer import _bearer
from flagbearer._error import FlagbearerError
from flagbearer._flag_set import FlagSet
from flagbearer._reader import Flagbearer

__all__ = ["Flags"]


class Flags(SecurityBase):
    """Answers 401 without a good token, and 503 while the issuer's keys cannot be had. Shown in the OpenAPI document."""

    def __init__(self, flagbearer: Flagbearer) -> None:
        self._flagbearer = flagbearer
        self.model = HTTPBearer(bearerFormat="JWT")
        self.scheme_name = "flagbearer"

    async def __call__(self, connection: HTTPConnection) -> FlagSet:
        token = _bearer.token(connection.headers.get("authorization"))
        try:
            return await self._flagbearer.averify(token)
        except FlagbearerError as error:
            status, headers, body = _bearer.refusal(error, token)
            raise HTTPException(status, body, headers) from error
