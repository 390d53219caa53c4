"""The project's files that go into the image, and the warnings about those that do not."""

from collections.abc import Iterator

import msgspec

from shipwheel.errors import ProjectError
from shipwheel.events import Reporter, Warned
from shipwheel.pipeline.app_source import without_linked
from shipwheel.pipeline.secrets import left_out_secrets
from shipwheel.project.app_tree import AppTree, list_app, list_copies
from shipwheel.project.project import Project
from shipwheel.project.secret_files import secret_rules, token_error
from shipwheel.project.translations import compile_catalogue, uncompiled

__all__ = ["app_tree", "copied_tree"]


def app_tree(project: Project, reporter: Reporter) -> AppTree | None:
    """Return the files of a project whose directory goes into the image; None for one that is only installed as a wheel.

    Raise ProjectError for a secret that would get into the image.
    """
    launch, settings = project.launch, project.settings
    if launch is None or not launch.needs_source:
        return None
    include = (*settings.include, *launch.include)
    tree = list_app(project.root, include=include, exclude=settings.exclude, only=project.only, secret_rules=secret_rules(settings))
    if launch.translations:
        tree = msgspec.structs.replace(tree, catalogues=frozenset(_catalogues(tree, reporter)))
    return without_linked(_checked(tree, reporter), launch.links)


def _catalogues(tree: AppTree, reporter: Reporter) -> Iterator[str]:
    """Yield the catalogues to compile. One that is damaged is named, and does not stop a build of an app that runs without it."""
    wanted = uncompiled(file.path for file in tree.files)
    for file in tree.files:
        if file.path not in wanted or file.link is not None:
            continue
        try:
            compile_catalogue(file.host.read_bytes(), file.path)
        except ProjectError as error:
            reporter(Warned(f"{error.message}. The image has no translations from it.", error.hint, lasting=True))
        else:
            yield file.path


def copied_tree(project: Project, reporter: Reporter) -> AppTree | None:
    """Return the project's files that go to other places of the image; None if there are none.

    Raise ProjectError for a secret that would get into the image.
    """
    if not project.copies:
        return None
    return _checked(list_copies(project.root, project.copies, secret_rules=secret_rules(project.settings)), reporter)


def _checked(tree: AppTree, reporter: Reporter) -> AppTree:
    if tree.tokens:
        raise token_error(tree.tokens)
    if tree.secrets:
        reporter(left_out_secrets(tree.secrets))
    if tree.special:
        reporter(Warned(f"left out, since an image cannot hold them: {', '.join(tree.special)}", lasting=True))
    return tree
