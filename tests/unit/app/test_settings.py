import pytest

from app.settings import PREFIX, load_settings
from retrieval.errors import ConfigurationError


def test_the_environment_is_read_and_overrides_win(monkeypatch):
    monkeypatch.setenv("TWOTOWER_DEPTH", "7")
    assert load_settings().depth == 7
    assert load_settings(depth=9).depth == 9
    assert load_settings(depth=None).depth == 7


@pytest.mark.parametrize("name", ["TWOTOWER_DEPHT", "twotower_depht"])
def test_unknown_variables_are_refused_with_the_nearest_name(name):
    with pytest.raises(ConfigurationError, match="did you mean TWOTOWER_DEPTH"):
        load_settings({name: "7"})


def test_variables_of_others_are_none_of_our_business():
    load_settings({"PATH": "x", "TWOTOWER_TEST_QDRANT_URL": "x"})


@pytest.mark.parametrize(
    ("name", "value"), [("DEPTH", "many"), ("DENSE_WEIGHT", "1.5"), ("PRECISION", "int3")]
)
def test_bad_values_are_named(monkeypatch, name, value):
    monkeypatch.setenv(PREFIX + name, value)
    with pytest.raises(ConfigurationError, match=f"{PREFIX}{name} is '{value}'"):
        load_settings()
