import pytest

from twotower.ingest.elements import Limits, ParsedDocument
from twotower.ingest.loaders import load


@pytest.fixture
def parsed(tmp_path):
    """Function that writes a file and reads it in this process."""

    def read(name: str, content: str | bytes, limits: Limits | None = None) -> ParsedDocument:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return load(path, limits or Limits())

    return read


@pytest.fixture
def pairs(parsed):
    """Function that writes a file and returns kind and text of its elements."""
    return lambda name, content: [(e.kind, e.text) for e in parsed(name, content).elements]
