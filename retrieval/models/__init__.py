"""Models and their runtimes: the two towers, BM25, and compiled networks."""
