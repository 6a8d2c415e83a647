"""A service for the tests of testdb, written with coroutines; the synchronous one is derived."""
