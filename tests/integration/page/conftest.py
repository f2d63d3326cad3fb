"""Visitors of the page, for tests with Streamlit's test runner and a real index."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from tests.conftest import RUNTIME, copy_sparse
from twotower.app.settings import load_settings
from twotower.retrieval.models import runtime
from twotower.retrieval.models.runtime import load_encoder
from twotower.ui import resources

VIEWS = ("search", "ask", "documents", "quality", "index")
QUESTION = "how long is the warranty on seals"


class Visit:
    """A visitor of the page with one data directory."""

    def __init__(self, cache: Path, data_dir: Path, **settings) -> None:
        settings = {"cache_dir": cache, "data_dir": data_dir, "runtime": RUNTIME} | settings
        resources.use_settings(load_settings({}, **settings))
        resources.workspace.clear()

    def page(self, view: str, **query: str) -> AppTest:
        """Run one page; ``query`` contains the query parameters of the address."""
        script = f"from twotower.ui.views import {view}\n{view}.show()"
        test = AppTest.from_string(script, default_timeout=300)
        for key, value in query.items():
            test.query_params[key] = value
        return run(test)

    @property
    def workspace(self):
        return resources.workspace()


def run(test: AppTest) -> AppTest:
    """Run a page, and check that no exception reached the visitor."""
    test.run()
    assert not test.exception, test.exception[0].stack_trace
    return test


def text_of(test: AppTest) -> str:
    """All text on a page."""
    texts = []
    for one in [*test.main, *test.sidebar]:
        texts += [str(getattr(one, name, "")) for name in ("label", "value") if hasattr(one, name)]
    return "\n".join(texts).replace("\\", "")  # without the escapes of Markdown


def open_view(test: AppTest, view: str) -> None:
    """Open a view of the first hit that has it."""
    option = {"why": "Why this hit", "around": "Surrounding text", "page": "Page 1"}[view]
    control = next(
        one
        for one in test.segmented_control
        if one.label.startswith("More about hit") and option in one.options
    )
    control.set_value(view)
    run(test)


def button(test: AppTest, label: str):
    """Find a button by its label."""
    return next(one for one in test.button if one.label == label)


@pytest.fixture(scope="package")
def load_once():
    """`load_encoder` that loads each encoder once for all visitors."""
    loaded = {}

    def load(model, models, options):
        key = (model.fingerprint, options)
        if key not in loaded:
            loaded[key] = load_encoder(model, models, options)
        return loaded[key]

    return load


@pytest.fixture
def visit(model_cache, tmp_path, load_once, monkeypatch):
    """Function that makes a visitor: without documents, unless a data directory is given."""
    monkeypatch.setattr(runtime, "load_encoder", load_once)
    visits = []

    def make(data_dir: Path | None = None, **settings) -> Visit:
        visits.append(Visit(model_cache.folder, data_dir or tmp_path / "data", **settings))
        return visits[-1]

    yield make
    if visits:
        resources.close()
    resources._settings.clear()


@pytest.fixture
def full(visit, handbook, tmp_path) -> Visit:
    """A visitor with a copy of the ingested handbook."""
    copy_sparse(handbook.data_dir, tmp_path / "copy")
    return visit(tmp_path / "copy")
