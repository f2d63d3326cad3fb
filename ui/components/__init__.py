"""Parts of pages; each part owns its state."""
