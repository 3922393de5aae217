"""Alembic migrations of the store; run by `db.migrate` or the alembic command."""
