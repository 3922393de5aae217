"""Repositories: they own all queries, return frozen records and never commit."""
