"""Drafts of revisions: how models and migrations differ, and the steps that this takes."""
