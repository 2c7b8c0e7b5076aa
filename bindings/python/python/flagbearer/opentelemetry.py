"""Exposures as OpenTelemetry wants them: each read of a flag is an event ``feature_flag.evaluation``, with the attributes of the
semantic conventions for feature flags::

    Flagbearer(issuer="https://flags.example.com", audience="api", on_read=on_read)
"""

from typing import Any, Final

from opentelemetry._logs import get_logger

from flagbearer._flag_set import FlagDetails, FlagSet

__all__ = ["on_read"]

_logger: Final = get_logger("flagbearer")


def on_read(details: FlagDetails[Any], flags: FlagSet) -> None:
    """Emits the event of one read, in the context of the current span. JSON values stay out of it: they can be large."""
    attributes: dict[str, str | bool | int] = {
        "feature_flag.key": details.code,
        "feature_flag.provider.name": "flagbearer",
        "feature_flag.result.reason": details.reason.lower(),
    }
    if isinstance(details.value, str | bool | int):
        attributes["feature_flag.result.value"] = details.value
    if details.error_code is not None:
        attributes["error.type"] = details.error_code.lower()
    if flags.flags_revision is not None:
        attributes["feature_flag.version"] = str(flags.flags_revision)
    if isinstance(user := flags.claims.get("sub"), str):
        attributes["feature_flag.context.id"] = user
    _logger.emit(event_name="feature_flag.evaluation", attributes=attributes)
