"""Types that every package shares: errors, documents, rankings, filters, vectors."""
