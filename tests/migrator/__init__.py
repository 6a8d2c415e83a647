"""Tests of packages/migrator, on its sources and on the migrations of a small sample project."""
