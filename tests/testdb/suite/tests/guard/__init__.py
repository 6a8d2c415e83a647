"""Attacks on the guard: no way leads to a protected database, and all ways to the tests' own."""
