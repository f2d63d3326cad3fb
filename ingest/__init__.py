"""Ingestion of files into a collection: discover, load, chunk, encode, write."""
