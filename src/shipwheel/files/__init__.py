"""File entries, and the deterministic segments that are made of them."""
