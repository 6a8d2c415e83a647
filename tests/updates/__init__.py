"""Tests of updates, on a small template with three versions."""
