"""Synchronous, with SQLModel and FastAPI; its tests are inside the application."""
