"""What every kind of test database holds; attacks, crashes and many processes included."""
