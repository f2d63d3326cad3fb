"""Imported once by the fork server, so that every worker process starts with the parsers loaded."""

from twotower.ingest.loaders.unstructured import load_parsers

load_parsers()
