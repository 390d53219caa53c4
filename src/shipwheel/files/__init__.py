"""File entries and the segments made of them: deterministic tar, gzip splicing, ELF facts.

In: a `Source`, which yields `FileEntry` values. Out: a `Segment` in the store: the tar bytes of one source, compressed on their own.
`elf` and `loader` say what shared objects need and what the dynamic loader would find. Imports only `download` and the leaves.
"""
