"""`shipwheel bundle`."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shipwheel.cli.command import Command, option
from shipwheel.cli.options import request_from, some_options
from shipwheel.cli.services import stack_argument
from shipwheel.cli.terminal import Terminal
from shipwheel.errors import UsageError

if TYPE_CHECKING:
    from shipwheel.oci.bundle import BundledImage
    from shipwheel.oci.reference import Reference
    from shipwheel.stack.image import ServiceImage

__all__ = ["command"]

_PARTIAL = ".partial"


@click.command(
    "bundle",
    cls=Command,
    help="""Write the images of a project and its services, for all platforms, into one file with what starts them: settings for `shipwheel
    up`, a compose file, manifests for Kubernetes. The locks are in it, too. `shipwheel unbundle` needs no network. A bundle that was
    interrupted goes on where it was. With --for-build, the bundle holds instead what builds of the current locks need: packages, bases and
    what was built from source.""",
    examples=("shipwheel bundle -o shop.tar", "shipwheel bundle --for-build -o inputs.tar"),
)
@stack_argument
@option("-o", "--output", required=True, type=click.Path(path_type=Path), metavar="FILE", help="The bundle.", group="Destination")
@option("--for-build", is_flag=True, help="Bundle what a build needs, in place of images.", group="Destination")
@some_options("locked", "frozen", "yes")
def command(terminal: Terminal, path: Path, output: Path, for_build: bool, **flags: Any) -> None:
    """Collect the images in a layout beside the bundle, then write the bundle and remove the layout."""
    from shipwheel.oci.bundle import Bundle, write_bundle
    from shipwheel.stack.compose import compose_file
    from shipwheel.stack.image import place_all
    from shipwheel.stack.image_settings import FILE, image_settings
    from shipwheel.stack.kustomize import kustomize_files
    from shipwheel.stack.read import read_stack

    stack = read_stack(path)
    if for_build:
        _bundle_inputs(stack.projects, output, terminal, flags)
        return
    layout = output.with_name(output.name + _PARTIAL)
    collected = _Collected(layout, terminal, flags)
    placed = place_all(stack, collected.pull, collected.build)
    base, overlay = kustomize_files(stack, placed)
    manifests = {f"kubernetes/{name}": text for name, text in {**base, **overlay}.items()}
    started = {FILE: image_settings(stack, placed), "compose.yaml": compose_file(stack, placed)}
    files = {**started, **manifests, **collected.locks}
    images = tuple(dict.fromkeys(collected.images))
    write_bundle(layout, Bundle(stack.name, images, files), output)
    shutil.rmtree(layout)
    terminal.note(f"{output.stat().st_size / 1e6:.1f} MB with {len(images)} image{'' if len(images) == 1 else 's'}")
    terminal.result(
        lambda: {"output": str(output), "images": {it.repository: it.digest for it in images}, "files": [*files]}, [str(output)]
    )


def _bundle_inputs(projects: Sequence[Path], output: Path, terminal: Terminal, flags: dict[str, Any]) -> None:
    """Build each project, and write what its next build needs."""
    from shipwheel.pipeline.build_inputs import collect_inputs
    from shipwheel.pipeline.input_archive import write_inputs
    from shipwheel.store.store import Store, default_root

    if not projects:
        raise UsageError("the stack has no project to build", hint="Leave out --for-build: the bundle has the images.")
    inputs = [collect_inputs(request_from(path, dict(flags), terminal.report)) for path in projects]
    write_inputs(inputs, Store(default_root()), output)
    names, files = [each.project for each in inputs], {digest for each in inputs for digest in each.blobs}
    terminal.note(f"{output.stat().st_size / 1e6:.1f} MB with {len(files)} files for {', '.join(names)}")
    terminal.result(lambda: {"output": str(output), "projects": names, "files": len(files)}, [str(output)])


class _Collected:
    """The images of a stack in a layout, and the locks of its projects."""

    def __init__(self, layout: Path, terminal: Terminal, flags: dict[str, Any]) -> None:
        self.images: list[BundledImage] = []
        self.locks: dict[str, str] = {}
        self._layout = layout
        self._terminal = terminal
        self._flags = flags

    def pull(self, where: str, text: str) -> "ServiceImage":
        """Pull an image of others. Raise what the registry refuses; `where` is the place that names the image."""
        from shipwheel.cli.image_digests import at_place
        from shipwheel.cli.remote import open_repository, tag_or_digest
        from shipwheel.oci.reference import Reference
        from shipwheel.registry.pull import pull, remote_images
        from shipwheel.store.store import Store, default_root

        with at_place(where):
            reference = Reference.parse(text)
            with open_repository(reference, self._terminal.report) as repository:
                found = remote_images(repository, tag_or_digest(reference))
                pulled = pull(repository, found, self._layout, Store(default_root()), name=text, reporter=self._terminal.report)
        return self._added(reference, pulled.entry.digest, found.images[0])

    def build(self, path: Path) -> "ServiceImage":
        """Build a project, and keep its lock."""
        from shipwheel.oci.layout import write_layout
        from shipwheel.oci.reference import Reference
        from shipwheel.pipeline.deliver import build_and_load

        request = request_from(path, dict(self._flags), self._terminal.report)
        name = ""

        def write(built: Any) -> str:
            nonlocal name
            project = built.resolution.project
            name = project.settings.tag or project.name
            write_layout(built.index, self._layout, request.store, name=name)
            return ""

        built = build_and_load(request, write)[0].built
        lock = built.resolution.lock
        self.locks[f"locks/{built.resolution.project.name}/{lock.path.name}"] = lock.path.read_text(encoding="utf-8")
        return self._added(Reference.parse(name), built.index.digest, built.index.images[0])

    def _added(self, reference: "Reference", digest: Any, first: Any) -> "ServiceImage":
        from shipwheel.oci.bundle import BundledImage
        from shipwheel.stack.image import ServiceImage

        name = f"{reference.name}@{digest}"
        # Without their registries, two names can be one.
        if any((it.repository, it.tag) == (reference.repository, reference.tag_or_latest) and it.digest != digest for it in self.images):
            same = f"{reference.repository}:{reference.tag_or_latest}"
            raise UsageError(f"two images of the bundle would be named {same}", hint="Give one of them another name or tag.")
        self.images.append(BundledImage(name, digest, reference.repository, reference.tag_or_latest))
        return ServiceImage(name, first.execution, first.platform, reference.repository.rpartition("/")[2])
