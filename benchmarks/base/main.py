"""Nothing: what is built of it is the base image."""
