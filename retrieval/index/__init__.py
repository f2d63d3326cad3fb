"""The index: stores, collections and their cards, versions, copies and backups."""
