"""The flags of a request's bearer token in ``request.flags``, in synchronous and asynchronous applications::

    MIDDLEWARE = [..., "flagbearer.django.FlagsMiddleware"]
    FLAGBEARER = Flagbearer(issuer="https://flags.example.com", audience="api")
    FLAGBEARER_EXEMPT = ["/admin/", "/healthz"]  # paths that need no token, with all that lies below them; "/" is the front page alone
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase

from flagbearer import _bearer
from flagbearer._error import FlagbearerError
from flagbearer._reader import Flagbearer

__all__ = ["FlagsMiddleware"]


class FlagsMiddleware:
    """Answers 401 without a good token, and 503 while the issuer's keys cannot be had."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response
        self._flagbearer = cast(Flagbearer, settings.FLAGBEARER)
        self._exempt = _exempt()
        self._below = tuple(path.rstrip("/") + "/" for path in self._exempt if path.strip("/"))
        # Python 3.14 deprecates it for one that knows nothing of Django's marks on older versions.
        self._async = iscoroutinefunction(get_response)  # pyright: ignore[reportDeprecated]
        if self._async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self._async:
            return self._acall(request)
        if not self._is_exempt(request):
            try:
                _put(request, self._flagbearer.verify(_token(request)))
            except FlagbearerError as error:
                return _refused(request, error)
        return cast(HttpResponseBase, self._get_response(request))

    async def _acall(self, request: HttpRequest) -> HttpResponseBase:
        if not self._is_exempt(request):
            try:
                _put(request, await self._flagbearer.averify(_token(request)))
            except FlagbearerError as error:
                return _refused(request, error)
        return cast(HttpResponseBase, await self._get_response(request))

    def _is_exempt(self, request: HttpRequest) -> bool:
        return request.path in self._exempt or request.path.startswith(self._below)


def _exempt() -> frozenset[str]:
    """Where no token is needed. What was meant otherwise must not open more: an empty path would open everything."""
    paths: Sequence[str] = getattr(settings, "FLAGBEARER_EXEMPT", ())
    if isinstance(paths, str) or not all(path.startswith("/") for path in paths):
        raise ImproperlyConfigured(f"`FLAGBEARER_EXEMPT` is a list of paths that begin with `/`, and not `{paths!r}`")
    return frozenset(paths)


def _put(request: HttpRequest, flags: object) -> None:
    # Django's requests declare no such attribute.
    setattr(request, "flags", flags)


def _token(request: HttpRequest) -> str:
    return _bearer.token(request.META.get("HTTP_AUTHORIZATION"))


def _refused(request: HttpRequest, error: FlagbearerError) -> HttpResponse:
    status, headers, body = _bearer.refusal(error, _token(request))
    return JsonResponse(body, status=status, headers=headers)
