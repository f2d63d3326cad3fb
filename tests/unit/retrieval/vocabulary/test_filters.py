import time

import pytest

from twotower.retrieval.vocabulary.errors import ConfigurationError
from twotower.retrieval.vocabulary.filters import Condition, Filter, parse_filters, where


def parse(expression: str, *user_keys: str) -> Condition:
    return parse_filters([expression], user_keys).conditions[0]


@pytest.mark.parametrize(
    ("expression", "condition"),
    [
        ("source=a b.md", Condition("source", ("a b.md",))),
        (" type = pdf, docx ", Condition("type", ("pdf", "docx"))),
        ('title="a, b",c', Condition("title", ("a, b", "c"))),
        ("type!=pdf", Condition("type", ("pdf",), negated=True)),
        ("source=policies/**", Condition("source", prefixes=("policies/",))),
        ("source!=a/**,b.md", Condition("source", ("b.md",), ("a/",), negated=True)),
        ("page=3", Condition("page", (3,))),
        ("page>=3", Condition("page", range=(("gte", 3.0),))),
        ("page=3..7", Condition("page", range=(("gte", 3.0), ("lte", 7.0)))),
        ("headings=1..2", Condition("headings", ("1..2",))),
        ("author=Ann", Condition("meta.author", ("Ann",))),
        ("author=2024", Condition("meta.author", ("2024", 2024))),
        ("author=1.5", Condition("meta.author", ("1.5",), (), (("gte", 1.5), ("lte", 1.5)))),
        ("author>2.5", Condition("meta.author", range=(("gt", 2.5),))),
        ("source==x", Condition("source", ("=x",))),
    ],
)
def test_an_expression_becomes_a_condition(expression, condition):
    assert parse(expression, "author") == condition


@pytest.mark.parametrize(
    ("expression", "bounds"),
    [
        ("modified>=2025-01-31", [("gte", "2025-01-31T00:00:00+00:00")]),
        ("modified>2025-01-31", [("gt", "2025-01-31T23:59:59.999999+00:00")]),
        ("modified<=2025-01-31", [("lte", "2025-01-31T23:59:59.999999+00:00")]),
        ("modified<2025-01-31T08:00", [("lt", "2025-01-31T08:00:00+00:00")]),
        (
            "modified=2025-01-31",
            [("gte", "2025-01-31T00:00:00+00:00"), ("lte", "2025-01-31T23:59:59.999999+00:00")],
        ),
        (
            "modified=2025-01-01..2025-01-31",
            [("gte", "2025-01-01T00:00:00+00:00"), ("lte", "2025-01-31T23:59:59.999999+00:00")],
        ),
        ("due<2025-01-31", [("lt", "2025-01-31T00:00:00+00:00")]),
    ],
)
def test_a_date_means_its_whole_day(expression, bounds):
    assert list(parse(expression, "due").range) == bounds


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("colour=red", r"unknown key 'colour' at character 1: .*source, folder, type.*\(author\)"),
        ("source", r"has no operator \(= != > >= < <=\) at character 7: write KEY=VALUE"),
        ("=x", "has no key at character 1: write KEY=VALUE"),
        ("", "has no key at character 1: write KEY=VALUE"),
        ("source=", "has no value at character 8: write KEY=VALUE"),
        ("page=three", "'three' at character 6 where a whole number is expected, .* page=3"),
        ("page>=x", "'x' at character 7 where a number is expected, for example page>=3"),
        ("page=1..x", "'x' at character 9 where a number is expected"),
        ("page<nan", "'nan' at character 6 where a number is expected"),
        (
            "modified>yesterday",
            "'yesterday' at character 10 where a date is expected, .* modified>=",
        ),
        ("source>a", r"> at character 7, but source holds text: .* write source=a\*\*"),
        ("author>Ann", "'Ann' at character 8 where a number or a date is expected"),
    ],
)
def test_a_malformed_filter_reports_the_position_and_an_example(expression, message):
    with pytest.raises(ConfigurationError, match=message):
        parse(expression, "author")


def test_combined_filters_must_all_hold():
    both = where(kind="chunk") & parse_filters(["type=pdf", "page>2"])
    assert [condition.key for condition in both.conditions] == ["kind", "type", "page"]
    with pytest.raises(ValueError, match="ids"):
        _ = Filter(ids=()) & Filter(ids=())


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the zone of a process cannot be changed")
def test_a_day_on_which_a_file_was_changed_is_a_day_of_this_machine(monkeypatch):
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        (condition,) = parse_filters(["modified=2025-07-04"]).conditions
        assert condition.range == (
            ("gte", "2025-07-04T00:00:00-04:00"),
            ("lte", "2025-07-04T23:59:59.999999-04:00"),
        )
        (condition,) = parse_filters(["due<=2025-07-04"], ["due"]).conditions
        assert condition.range == (("lte", "2025-07-04T23:59:59.999999+00:00"),)
    finally:
        monkeypatch.undo()
        time.tzset()
