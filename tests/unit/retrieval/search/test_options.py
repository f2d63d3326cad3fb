import math

import pytest

from twotower.retrieval.search.fusion import FUSIONS
from twotower.retrieval.search.options import OPTIONS, SearchOptions
from twotower.retrieval.vocabulary.errors import ConfigurationError


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limit": 0}, "option limit is 0: it must be between 1 and 10,000"),
        ({"limit": 10_001}, "between 1 and 10,000"),
        ({"limit": 20, "depth": 10}, "option depth is 10, but the option limit is 20"),
        ({"weights": {"dense": 1.5}}, "option weights is 1.5: it must be between 0 and 1"),
        ({"diversity": math.nan}, "option diversity is nan: it must be between 0 and 1"),
        ({"diversity": -0.1}, "option diversity is -0.1"),
        ({"expand": -1}, "option expand is -1: it must be 0 or more"),
        ({"per_document": -1}, "option per_document is -1"),
        ({"feedback": 101}, "option feedback is 101: it must be between 0 and 100"),
        ({"fusion": "magic"}, "option fusion is 'magic': choose one of convex, minmax, rrf, dbsf"),
        ({"rerank": "magic"}, "option rerank is 'magic': choose one of none, late-interaction"),
        ({"mode": "magic"}, "option mode is 'magic': choose one of hybrid, dense, bm25"),
    ],
)
def test_values_outside_their_declaration_are_refused(options, message):
    with pytest.raises(ConfigurationError, match=message):
        SearchOptions(**options)


def test_the_depth_follows_the_limit():
    assert SearchOptions().candidates == 100
    assert SearchOptions(limit=250).candidates == 250
    assert SearchOptions(limit=10, depth=30).candidates == 30


def test_every_option_is_declared_with_a_type_a_default_and_a_description():
    for name, option in OPTIONS.items():
        assert getattr(SearchOptions(), name) == option.default
        assert isinstance(option.default, option.type)
        assert option.help.endswith(".")


def test_choices_follow_the_registry(monkeypatch):
    monkeypatch.setitem(FUSIONS, "mine", FUSIONS["rrf"])
    assert OPTIONS["fusion"].choices == ("convex", "minmax", "rrf", "dbsf", "mine")
    assert SearchOptions(fusion="mine").fusion == "mine"


def test_options_with_weights_can_be_compared_and_are_keys():
    ways = [SearchOptions(), SearchOptions(weights={"dense": 0.2}), SearchOptions()]
    assert len(dict.fromkeys(ways)) == 2
