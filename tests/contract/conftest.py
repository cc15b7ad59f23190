"""A busy machine must not fail a property by being slow."""

from hypothesis import settings

settings.register_profile("espalier", deadline=None)
settings.load_profile("espalier")
