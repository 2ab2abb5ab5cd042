"""The history of the projection's schema, for Alembic."""
