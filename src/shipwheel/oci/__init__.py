"""OCI images: bytes and frozen types, layers, layouts and archives."""
