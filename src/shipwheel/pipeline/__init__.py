"""The build: from a request to images, stage by stage, and on to a layout, an archive, a registry or an engine.

In: a `Request`. Out: `Built` and `Delivered`. `build` has the stages in order; `plan` shows what they would do; `publish` pushes while
layers are made; `rebase` puts a pushed image on a new base. Imports every room but `engine`; only `cli` imports it.
"""
