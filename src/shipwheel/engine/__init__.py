"""Engines: what runs containers. One interface, one file for each."""
