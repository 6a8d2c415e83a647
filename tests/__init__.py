"""Tests of the template: its answers, its hooks, and the projects it renders."""
