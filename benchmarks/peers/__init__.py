"""Comparable systems on the same passages, with the same model, on the same machine."""
