"""Answers with checked citations, and the language model that writes them."""
