import pytest

from retrieval.errors import ConfigurationError
from retrieval.filters import Condition, Filter, parse_filters, where


def parsed(expression: str, *own: str) -> Condition:
    return parse_filters([expression], own).conditions[0]


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
def test_expressions(expression, condition):
    assert parsed(expression, "author") == condition


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
def test_a_date_is_its_whole_day(expression, bounds):
    assert list(parsed(expression, "due").range) == bounds


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("colour=red", r"unknown key 'colour'.*source, folder, type.*of your metadata: author"),
        ("source", "one of = != > >= < <= is missing at character 7"),
        ("=x", "a key is missing at character 1"),
        ("", "a key is missing at character 1"),
        ("source=", "a value is missing at character 8"),
        ("page=three", "'three' at character 6 is no whole number"),
        ("page>=x", "'x' at character 7 is no number"),
        ("page=1..x", "'x' at character 9 is no number"),
        ("page<nan", "'nan' at character 6 is no number"),
        ("modified>yesterday", "'yesterday' at character 10 is no date"),
        ("source>a", "a range needs a key of numbers or dates"),
        ("author>Ann", "'Ann' at character 8 is no number"),
    ],
)
def test_what_is_wrong_is_said_and_where(expression, message):
    with pytest.raises(ConfigurationError, match=message):
        parsed(expression, "author")


def test_filters_hold_together():
    both = where(kind="chunk") & parse_filters(["type=pdf", "page>2"])
    assert [condition.key for condition in both.conditions] == ["kind", "type", "page"]
    with pytest.raises(ValueError, match="ids"):
        _ = Filter(ids=()) & Filter(ids=())
