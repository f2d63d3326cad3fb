"""Imported once by the fork server, so that every worker process starts with the parsers loaded."""

import importlib

from ingest.loaders.unstructured import use_packaged_language_model

use_packaged_language_model()
_tokenize = importlib.import_module("unstructured.nlp.tokenize")
_tokenize.pos_tag("The parsers are loaded.")
importlib.import_module("unstructured.partition.html")
