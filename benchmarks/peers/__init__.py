"""Comparable systems on the same passages, the same model and the same machine."""
