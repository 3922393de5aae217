"""Headless use cases: the only place where the engine (core) meets the store (db)."""
