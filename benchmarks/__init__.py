"""Measurements; each prints the command that reproduces it."""
