"""Which conditions hold: RFC 9110 section 13, its order, its two comparisons, and whatever clients send instead."""

from datetime import UTC, datetime

import pytest

from app.core.errors import PreconditionFailed
from app.core.http_conditions import NO_CONDITIONS, Conditions, conditions_of

TAG = '"a,b-1"'
CHANGED = datetime(2026, 11, 22, 12, 0, 0, 500_000, tzinfo=UTC)
BEFORE, THEN, AFTER = (f"Sun, 22 Nov 2026 {clock} GMT" for clock in ("11:59:59", "12:00:00", "12:00:01"))


def asked(**headers: str) -> Conditions:
    return conditions_of(
        [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    )


def holds(conditions: Conditions) -> bool:
    try:
        conditions.require_for_change(TAG, CHANGED)
    except PreconditionFailed:
        return False
    return True


@pytest.mark.parametrize(
    ("if_match", "expected"),
    [
        (TAG, True),
        ("*", True),
        (" * ", True),
        (f'"x", {TAG}', True),
        (f'{TAG},"x"', True),
        (f", ,{TAG} ,", True),
        (f'W/"x", {TAG}', True),
        (f"W/{TAG}", False),  # weak tags never match strongly
        (f"w/{TAG}", False),
        ('"x"', False),
        ('"a', False),
        ("a,b-1", False),
        ('"a,b-1', False),
        (f"junk {TAG}", False),
        (f"{TAG} {TAG}", False),
        (f'{TAG}, "open', False),
        (f"*, {TAG}", False),
        ("", False),
        (",", False),
        ('"x",' * 10_000, False),
        (" " * 60_000 + "x", False),
        (f" ,\t, ,{TAG} , ,", True),
        (f",,{TAG},x", False),
    ],
)
def test_if_match(if_match: str, expected: bool) -> None:
    assert holds(asked(if_match=if_match)) is expected


@pytest.mark.parametrize(
    ("if_none_match", "expected"), [(TAG, False), (f"W/{TAG}", False), ("*", False), ('"x"', True), ("junk", True)]
)
def test_if_none_match_of_a_change(if_none_match: str, expected: bool) -> None:
    assert holds(asked(if_none_match=if_none_match)) is expected


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        (AFTER, True),
        (THEN, True),
        (BEFORE, False),
        ("Sunday, 22-Nov-26 11:59:59 GMT", False),
        ("Sun Nov 22 11:59:59 2026", False),
        ("yesterday", True),  # no date: ignored
        ("", True),
        ("Sun, 22 Nov 99999999999999999999 12:00:00 GMT", True),
        ("Sun, 22 Nov 2026 12:00:00 +99999999999999", True),
        (f"{BEFORE}, {BEFORE}", True),
    ],
)
def test_if_unmodified_since(since: str, expected: bool) -> None:
    assert holds(asked(if_unmodified_since=since)) is expected


def test_the_order_of_the_rfc() -> None:
    assert holds(asked(if_match=TAG, if_unmodified_since=BEFORE))  # the date is ignored beside the tag
    assert not holds(asked(if_match='"x"', if_unmodified_since=AFTER))
    assert not holds(asked(if_match=TAG, if_none_match=TAG))
    with pytest.raises(PreconditionFailed):
        asked(if_match='"x"', if_none_match=TAG).is_not_modified(TAG, CHANGED)
    assert asked(if_match=TAG, if_none_match=TAG).is_not_modified(TAG, CHANGED)
    assert not asked(if_none_match='"x"', if_modified_since=AFTER).is_not_modified(TAG, CHANGED)


def test_dates_decide_only_where_they_are_known_and_trusted() -> None:
    assert asked(if_modified_since=THEN).is_not_modified(TAG, CHANGED)
    assert not asked(if_modified_since=BEFORE).is_not_modified(TAG, CHANGED)
    assert not asked(if_modified_since=AFTER).is_not_modified(TAG, CHANGED, by_date=False)
    assert not asked(if_modified_since=AFTER, if_unmodified_since=BEFORE).is_not_modified(TAG, None)


def test_several_lines_are_one_list() -> None:
    lines = [(b"if-match", b'"x"'), (b"host", b"y"), (b"if-match", TAG.encode())]
    assert holds(conditions_of(lines))
    assert conditions_of([(b"host", b"y"), (b"if-range", b'"x"')]) is NO_CONDITIONS
    assert not NO_CONDITIONS
