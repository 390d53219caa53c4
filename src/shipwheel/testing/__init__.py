"""Makers of small inputs, shared by our tests and by users' tests."""
