"""The start of an image: where its time goes, and which modules it imports.

In: a trial whose processes wrote down their imports (trial/import_record.py). Out: a `StartupReport`, as lines, as JSON, as one HTML page,
and as the list of modules that a lock has. No I/O. It may import trial and locking; cli imports it.
"""
