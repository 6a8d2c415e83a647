"""What isolation costs a test suite: `make bench`.

Renders a service in each session style, gives it the same small tests on one pattern of isolation
after another, and compares how long they take.
"""
