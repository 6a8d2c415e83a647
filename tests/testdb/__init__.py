"""The tests of testdb, on its sources: a small service, in both styles and on both engines."""
