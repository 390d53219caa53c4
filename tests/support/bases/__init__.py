"""Base images of the shapes that public registries have, built from Debian's packages, because tests reach no registry."""
