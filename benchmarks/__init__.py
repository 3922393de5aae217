"""Benchmarks: commands that print a table and write JSON. Never timed tests."""
