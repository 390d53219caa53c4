"""Servers and makers for tests: a package index, a registry, a Debian archive, small wheels, images and standalone Pythons.

In: what a test wants to be served, and the faults that it asks for. Out: servers on the loopback interface, and files as bytes. The types
are `World` (everything that a build needs), `PackageIndex`, `FakeRegistry`, `TokenServer`, `FakeArchive` and `SmallWheel`.
Our own tests and users' tests may import this package; the rest of shipwheel must not.
"""
