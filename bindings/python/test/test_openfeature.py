"""The provider behind the real OpenFeature SDK, and exposures through the real OpenTelemetry SDK."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openfeature import api
from openfeature.client import OpenFeatureClient
from opentelemetry import _logs
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor

from flagbearer import FlagSet
from flagbearer.openfeature import FlagbearerProvider, reading
from flagbearer.opentelemetry import on_read
from flagbearer.testing import TestIssuer, follow_watermarks

FLAGS = {"on": True, "variant": "b", "limit": 5000, "config": {"model": "large"}}


@pytest.fixture
def client() -> Iterator[OpenFeatureClient]:
    api.set_provider_and_wait(FlagbearerProvider())
    yield api.get_client()
    api.clear_providers()


def verified(**facts: Any) -> FlagSet:
    issuer = TestIssuer()
    return issuer.flagbearer().verify(issuer.token(**{"flags": FLAGS, "flags_revision": 42, "user": "ann", **facts}))


def test_flags_of_every_type_are_read_through_openfeature(client: OpenFeatureClient) -> None:
    with reading(verified()):
        assert client.get_boolean_value("on", False) is True
        assert client.get_string_value("variant", "a") == "b"
        assert client.get_integer_value("limit", 1) == 5000
        assert client.get_float_value("limit", 1.0) == 5000.0
        assert client.get_object_value("config", {}) == {"model": "large"}
        details = client.get_boolean_details("on", False)
    assert (details.reason, details.error_code, details.flag_metadata) == ("CACHED", None, {"version": "42", "contextId": "ann"})


def test_what_cannot_be_read_is_the_default_with_openfeatures_code(client: OpenFeatureClient) -> None:
    with reading(verified()):
        for details, value, code in [
            (client.get_boolean_details("gone", True), True, "FLAG_NOT_FOUND"),
            (client.get_integer_details("variant", 7), 7, "TYPE_MISMATCH"),
            (client.get_object_details("on", {"a": 1}), {"a": 1}, "TYPE_MISMATCH"),
        ]:
            assert (details.value, details.reason, details.error_code) == (value, "ERROR", code)
            assert details.error_message


VECTORS: Any = json.loads((Path(__file__).parents[3] / "tests/vectors/watermarks.json").read_text())
READS = [(case, read) for case in VECTORS["cases"] for read in case["reads"]]
# OpenFeature takes no other JSON for an object.
READS = [(case, read) for case, read in READS if read["type"] != "json" or isinstance(read["value"], dict | list)]
assert {read["reason"] for _, read in READS} == {"CACHED", "DISABLED", "STALE", "ERROR"}


@pytest.mark.parametrize(("case", "read"), [pytest.param(*item, id=f"{item[0]['name']}: {item[1]['key']}") for item in READS])
def test_what_a_watermark_overrules_is_told_through_openfeature(client: OpenFeatureClient, case: Any, read: Any) -> None:
    told = [{"at": one["at"], "watermark": one["watermark"]} for one in case["watermarks"]]
    flag_set, _ = follow_watermarks({"issuer": VECTORS["issuer"], "jwks": VECTORS["jwks"], "watermarks": told})
    kind = "object" if read["type"] == "json" else read["type"]
    with reading(flag_set(case["token"])):
        details = getattr(client, f"get_{kind}_details")(read["key"], read["default"])
    assert (details.value, details.reason, details.error_code) == (read["value"], read["reason"], read.get("error"))


def test_without_a_token_the_default_is_answered_and_says_why(client: OpenFeatureClient) -> None:
    details = client.get_boolean_details("on", False)
    assert (details.value, details.error_code) == (False, "PROVIDER_NOT_READY")
    assert "reading" in str(details.error_message)


def test_a_program_with_one_user_gives_its_flags_once() -> None:
    api.set_provider_and_wait(FlagbearerProvider(verified()), "one user")
    assert api.get_client("one user").get_string_value("variant", "a") == "b"
    api.clear_providers()


def test_requests_that_are_served_at_the_same_time_read_their_own_flags(client: OpenFeatureClient) -> None:
    async def request(flags: FlagSet) -> int:
        with reading(flags):
            await asyncio.sleep(0)
            return await client.get_integer_value_async("limit", 0)

    async def all_requests() -> list[int]:
        return await asyncio.gather(*(request(FlagSet.of({"limit": number})) for number in range(20)))

    assert asyncio.run(all_requests()) == list(range(20))


def test_each_read_is_an_event_of_the_semantic_conventions() -> None:
    exporter, provider = InMemoryLogRecordExporter(), LoggerProvider()
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    _logs.set_logger_provider(provider)
    issuer = TestIssuer()
    flags = issuer.flagbearer(on_read=on_read).verify(issuer.token(flags=FLAGS, flags_revision=42, user="ann"))
    flags.get_boolean_flag("on", False)
    flags.get_flag("config", None, "j")
    flags.get_integer_flag("variant", 7)

    records = [entry.log_record for entry in exporter.get_finished_logs()]
    assert {record.event_name for record in records} == {"feature_flag.evaluation"}
    same = {"feature_flag.provider.name": "flagbearer", "feature_flag.version": "42", "feature_flag.context.id": "ann"}
    assert [dict(record.attributes or {}) for record in records] == [
        {**same, "feature_flag.key": "on", "feature_flag.result.reason": "cached", "feature_flag.result.value": True},
        {**same, "feature_flag.key": "config", "feature_flag.result.reason": "cached"},
        {
            **same, "feature_flag.key": "variant", "feature_flag.result.reason": "error", "feature_flag.result.value": 7,
            "error.type": "type_mismatch",
        },
    ]  # fmt: skip
