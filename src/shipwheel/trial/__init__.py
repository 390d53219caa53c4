"""The trial: start an image as production would, look at what it does, and say what keeps it from serving.

`observe` runs the image's command under the observer and returns an Observation; `findings` reads it into typed findings; `trial` puts both
together.
"""
