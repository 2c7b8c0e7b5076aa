"""The shared vectors, as tests/vectors/README.md describes them: all of them but those that are named at the end."""

import base64
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flagbearer import Flagbearer, FlagbearerError, FlagSet, _reader, _watermark, testing

FILES = {path.stem: json.loads(path.read_text()) for path in (Path(__file__).parents[3] / "tests/vectors").glob("*.json")}
READ: set[str] = set()


def read(file: str, member: str) -> Any:
    READ.add(f"{file}.{member}")
    return FILES[file][member]


def cases(file: str, member: str) -> Any:
    """A test for each case, under its name; a list without cases proves nothing."""
    items = read(file, member)
    assert items
    return pytest.mark.parametrize("case", [pytest.param(item, id=f"{member}: {item.get('name', i)}") for i, item in enumerate(items)])


def same(one: Any, other: Any) -> bool:
    """Equal to everybody, not to Python alone, for which ``True == 1``."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def code_of(work: Any) -> str | None:
    try:
        work()
    except FlagbearerError as error:
        assert str(error)
        return error.code
    return None


NOW, JWKS = read("tokens", "now"), json.dumps(read("tokens", "jwks")).encode()
READERS = {name: Flagbearer(**settings, fetch=lambda url: JWKS) for name, settings in read("tokens", "verifiers").items()}


@cases("tokens", "cases")
def test_a_token_is_accepted_with_its_claims_or_refused_with_its_code(case: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(_reader, "time", SimpleNamespace(**{**vars(_reader.time), "time": lambda: NOW}))
    verify = lambda: READERS[case["verifier"]].verify(case["token"])  # noqa: E731
    if "error" in case["expect"]:
        assert code_of(verify) == case["expect"]["error"]
        return
    flags, claims = verify(), case["expect"]["claims"]
    assert same(flags.claims, claims)
    assert flags.organization == claims.get("org_id", claims.get("org_code"))
    assert flags.flags_revision == claims.get("flags_rev")
    carried = claims.get("feature_flags", {})
    carried = {key: True for key in carried} if isinstance(carried, list) else {key: flag["v"] for key, flag in carried.items()}
    assert same(flags.get_all_flags(), carried)


@cases("claims", "encode")
def test_a_claim_is_written_to_the_byte(case: Any) -> None:
    assert testing.encode_claim(case["dialect"], case["flags"]) == case["claim"]
    assert len(case["claim"].encode()) == case["size"]


@cases("claims", "decode")
def test_a_claim_is_read_or_refused_with_its_code(case: Any) -> None:
    expect = case["expect"]
    assert code_of(lambda: testing.flag_set_of_claim(case["claim"])) == expect.get("error")
    if "error" in expect:
        return
    flags = testing.flag_set_of_claim(case["claim"])
    assert same({k: {"type": flags.get_flag(k, None).type, "value": v} for k, v in flags.get_all_flags().items()}, expect["flags"])
    for key, code in expect.get("unreadable", {}).items():
        assert flags.get_flag(key, None).error_code == code


@cases("getters", "cases")
@pytest.mark.parametrize("defaults", read("getters", "defaults"), ids=str)
def test_a_getter_answers_the_value_or_the_default_and_why(case: Any, defaults: Any) -> None:
    flags, key = testing.flag_set_of_claim(case["claim"]), case["key"]
    for kind, expected in case["expect"].items():
        default = defaults[kind]
        value = expected.get("value", default)
        for name in (kind, kind[0]):
            details = flags.get_flag(key, default, name)
            assert same([details.value, details.default_value], [value, default])
            assert (details.code, details.type, details.error_code) == (key, kind, expected.get("error"))
            assert (details.is_default, details.reason) == ((True, "ERROR") if "error" in expected else (False, "CACHED"))
        if kind != "json":
            read = getattr(flags, f"get_{kind}_flag")(key, default)
            assert type(read) is type(value) and read == value


@cases("flag_sets", "cases")
def test_a_set_of_values_has_their_types_or_is_refused_with_the_place_of_the_fault(case: Any) -> None:
    try:
        flags = FlagSet.of(case["flags"])
    except FlagbearerError as error:
        assert {"code": error.code, "pointer": error.pointer} == case["error"]
        return
    details = [flags.get_flag(key, None) for key in flags.get_all_flags()]
    assert same({flag.code: {"type": flag.type, "value": flag.value} for flag in details}, case["expect"])


@cases("getters", "changes")
def test_two_sets_differ_in_the_keys_that_are_listed(case: Any) -> None:
    older, newer = (testing.flag_set_of_claim(case[name]) for name in ("older", "newer"))
    assert newer.changed_from(older) == older.changed_from(newer) == case["changed"]


FOLLOWED = {name: read("watermarks", name) for name in ("issuer", "jwks")}


@cases("watermarks", "cases")
def test_a_watermark_is_believed_or_refused_and_overrules_what_it_should(case: Any, monkeypatch: Any) -> None:
    told = [{"at": item["at"], "watermark": item["watermark"]} for item in case["watermarks"]]
    flag_set, outcomes = testing.follow_watermarks({**FOLLOWED, "watermarks": told})
    assert outcomes == [item.get("error") for item in case["watermarks"]]
    flags = flag_set(case["token"])
    for expected in case["reads"]:
        key, kind, default = expected["key"], expected["type"], expected["default"]
        for name in (kind, kind[0]):
            details = flags.get_flag(key, default, name)
            assert same(details.value, expected["value"])
            assert (details.reason, details.error_code, details.is_default) == (
                expected["reason"], expected.get("error"), "error" in expected,
            )  # fmt: skip
        if kind != "json":
            assert same(getattr(flags, f"get_{kind}_flag")(key, default), expected["value"])
    if "all" in case:
        assert same(flags.get_all_flags(), case["all"])

    def at(now: float) -> str | None:
        monkeypatch.setattr(_watermark, "time", SimpleNamespace(time=lambda: now))
        return flags.state

    now = told[-1]["at"] if told else 0
    if "stale" in case:
        assert (at(now) == "stale") == case["stale"]
    if "state" in case:
        assert at(case["state"].get("at", now)) == case["state"]["is"]


@cases("jwks", "sets")
def test_a_key_set_gives_its_usable_keys(case: Any) -> None:
    work = lambda: testing.usable_keys(case["jwks"])  # noqa: E731
    assert code_of(work) == case.get("error")
    assert "error" in case or work() == case["usable"]


@cases("jwks", "signatures")
def test_a_published_signature_is_valid(case: Any) -> None:
    signature = base64.urlsafe_b64decode(case["signature"] + "==")
    assert testing.signature_valid(json.dumps({"keys": [case["jwk"]]}), case["input"].encode(), signature) == case["valid"]


@cases("evaluation", "cases")
def test_flags_are_evaluated_with_what_decided(case: Any) -> None:
    answer, expected = testing.evaluate_json(case["document"]), case["expected"]
    for key, evaluation in answer.items():
        assert all(step.pop("why") for step in evaluation["trace"])
        if "trace" not in expected.get(key, {}):
            del evaluation["trace"]
    assert same(answer, expected)


@cases("evaluation", "refused")
def test_a_document_that_is_not_allowed_is_refused_with_its_code_and_place(case: Any) -> None:
    with pytest.raises(FlagbearerError) as refused:
        testing.evaluate_json(case["document"])
    assert {"code": refused.value.code, "pointer": refused.value.pointer} == case["error"]


@cases("rollouts", "buckets")
def test_a_subject_is_in_the_bucket_where_another_implementation_puts_it(case: Any) -> None:
    answer = testing.buckets_json({"salt": case["salt"], "subject": case["subject"]})
    assert answer == {"rollout": case["rollout"], "split": case["split"]}


HALVED = read("rollouts", "twenty_percent_halved")


def test_a_twenty_percent_rollout_halved_by_a_split_has_both_variants() -> None:
    variants = [{"name": name, "value": name, "weight": weight} for name, weight in zip("ab", HALVED["weights"], strict=True)]
    rollout = {"by": "user", "percentage": HALVED["percentage"]}
    rule = {"audience": {"type": "all"}, "rollout": rollout, "serve": {"split": {"by": "user", "variants": variants}}}
    flag = {"id": "1", "salt": HALVED["salt"], "key": "f", "type": "string", "default_value": "out"}
    document = {"flags": [{"flag": flag, "setting": {"enabled": True, "rules": [rule]}}], "now": "2026-06-01T00:00:00Z"}
    served = [(one["user"], one["variant"]) for one in HALVED["inside"]] + [(user, "out") for user in HALVED["outside"]]
    assert {variant for _, variant in served} == {"a", "b", "out"}
    for user, variant in served:
        assert testing.evaluate_json({**document, "context": {"user": {"id": user}}})["f"]["value"] == variant


@cases("effects", "cases")
def test_a_change_has_the_effect_and_the_holdouts_that_are_listed(case: Any) -> None:
    answer = testing.effect_json(case["document"])
    assert all(holdout.pop("why") for holdout in answer["holdouts"])
    assert same(answer, case["expected"])


SEGMENTS = read("audiences", "segments")


@cases("audiences", "cases")
def test_audiences_are_ordered(case: Any) -> None:
    def side(audience: Any) -> Any:
        flag = {"id": "1", "salt": "1", "key": "f", "type": "boolean", "default_value": False}
        setting = {"enabled": True, "rules": [{"audience": audience, "serve": {"value": True}}]}
        return {"flag": flag, "setting": setting, "segments": SEGMENTS}

    document = {"before": side(case["before"]), "after": side(case["after"]), "now": "2026-06-01T00:00:00Z"}
    assert testing.effect_json(document)["effect"] == case["effect"]


NOT_OURS = {
    "fixture-30": "what speed is measured with",
    "rollouts.splits": "only Rust can ask for a bucket's place in a split",
    "sealed_sessions.passwords": "this package seals no cookies",
    "sealed_sessions.sealing": "this package seals no cookies",
    "sealed_sessions.unsealing": "this package seals no cookies",
    "token_answers.cases": "this package asks for no tokens",
    "tokens.private_keys": "what the file is written with",
}
"""Files and lists, and why they are not run here."""


def test_every_list_is_run_here_or_is_not_ours() -> None:
    members = {f"{file}.{name}": member for file, document in FILES.items() for name, member in document.items()}
    lists = {name for name, member in members.items() if isinstance(member, list | dict)}
    known = (READ & lists) | {name for name in lists if {name, name.partition(".")[0]} & NOT_OURS.keys()}
    assert lists - known == set(), "run them, or say above why they are not ours"
    assert NOT_OURS.keys() <= (lists | FILES.keys()) - READ, "these are not there any more, or are run"
