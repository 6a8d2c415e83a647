"""Tests that other tests run in a process of their own, to kill or to look at; not collected."""
