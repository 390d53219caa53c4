"""File entries and segments: deterministic tar, gzip splicing, ELF properties.

In: a `Source`, which yields `FileEntry` values. Out: a `Segment` in the store: the tar bytes of one source, compressed separately.
`elf` reads what shared objects need, and `loader` what the dynamic loader would find. Imports only `download` and the leaves.
"""
