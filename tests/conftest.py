"""For all tests: generated examples have no deadline, since no test may depend on how busy a machine is."""

from hypothesis import HealthCheck, settings

settings.register_profile("shipwheel", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shipwheel")
