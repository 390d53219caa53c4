"""What several test modules use: real engines, base images, examples, small projects. Tests import it as `support`."""
