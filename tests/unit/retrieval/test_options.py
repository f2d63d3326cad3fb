import pytest

from app.settings import Settings
from retrieval.errors import ConfigurationError
from retrieval.options import SearchOptions


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limit": 0}, "the limit is 0"),
        ({"limit": 10_001}, "at most 10,000"),
        ({"limit": 20, "depth": 10}, "the depth is 10, but 20 hits are asked for"),
        ({"dense_weight": 1.5}, "dense weight is 1.5: between 0 and 1"),
        ({"diversity": -0.1}, "diversity is -0.1"),
        ({"expand": -1}, "expand is -1: 0 or more"),
        ({"per_document": -1}, "per document is -1"),
    ],
)
def test_what_makes_no_sense_is_refused(options, message):
    with pytest.raises(ConfigurationError, match=message):
        SearchOptions(**options)


def test_the_depth_follows_the_limit():
    assert SearchOptions().candidates == 100
    assert SearchOptions(limit=250).candidates == 250
    assert SearchOptions(limit=10, depth=30).candidates == 30


def test_settings_and_options_have_the_same_defaults():
    shared = set(SearchOptions.__slots__) & set(Settings.model_fields)
    assert len(shared) >= 9
    for name in shared:
        assert Settings.model_fields[name].default == getattr(SearchOptions(), name)
