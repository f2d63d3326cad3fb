"""Questions to ranked, cited passages, and the vocabulary that every package shares."""
