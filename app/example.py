"""The example corpus that is installed with the package: documents, questions and judgements."""

from importlib.resources import files
from pathlib import Path

# Resolved, because a checkout has a link here and an installed package a folder.
EXAMPLE = Path(str(files("twotower"))).joinpath("example").resolve()
HANDBOOK = EXAMPLE / "handbook"
QUERIES = EXAMPLE / "queries.jsonl"
