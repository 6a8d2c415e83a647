"""What testdb promises, tried on the sample service."""
