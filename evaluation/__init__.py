"""Measuring retrieval on labelled questions."""
