"""The store: SQLAlchemy models, repositories that return frozen records, a unit of work."""
