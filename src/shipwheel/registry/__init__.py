"""Registries: the distribution-spec client, and who may do what there."""
