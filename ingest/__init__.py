"""Files into a collection: discover, load, chunk, encode, write."""
