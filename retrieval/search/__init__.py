"""Search: from a question to ranked, explained passages."""
