"""Benchmarks; the docstring of each module names the command that runs it."""
