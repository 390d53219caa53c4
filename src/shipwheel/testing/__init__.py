"""Servers and makers for tests: a package index, a registry, a Debian archive, small wheels and images.

Every server listens on the loopback interface and has the faults that a test asks for. For shipwheel's own tests and for users' tests.
"""
