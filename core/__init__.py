"""Insight Review: the engine. Pure torch and numpy; no database, no screen."""

__version__ = "0.1.0"
