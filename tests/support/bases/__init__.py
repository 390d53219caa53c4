"""Imitations of public base images, built from Debian packages: `shapes` has the bases, `parts` and `musl` what they are built from."""
