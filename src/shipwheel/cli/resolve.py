"""`shipwheel resolve`."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shipwheel.cli.command import Command, option
from shipwheel.cli.image_digests import built_image, image_in_registry
from shipwheel.cli.options import some_options
from shipwheel.cli.terminal import Terminal
from shipwheel.errors import UsageError

if TYPE_CHECKING:
    from shipwheel.stack.manifest_images import ManifestImage

__all__ = ["command"]

_SUFFIXES = (".yaml", ".yml")


@click.command(
    "resolve",
    cls=Command,
    help="""Write the digests of images into manifests, and print them for `kubectl apply -f -`. An image named shipwheel://PATH is the
    project in this directory, relative to the manifest: it is built and pushed to its `tag`. Nothing else of the manifests changes.""",
    examples=("shipwheel resolve -f k8s/ | kubectl apply -f -", "shipwheel resolve -f k8s/ -o deploy"),
)
@option(
    "-f",
    "--file",
    "sources",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path, allow_dash=True),
    metavar="FILE|DIR|-",
    help="Manifest, or directory with manifests; repeatable. - is standard input.",
    group="Manifests",
)
@option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="DIR", help="Directory to write into [standard output].", group="Manifests"
)
@option("--no-push", is_flag=True, help="Build projects, but push nothing; the digests are the same.", group="Manifests")
@some_options("locked", "frozen", "yes")
def command(terminal: Terminal, sources: tuple[Path, ...], output: Path | None, no_push: bool, **flags: Any) -> None:
    """Read all manifests first; build and ask registries; then write."""
    from shipwheel.stack.manifest_images import manifest_images, with_images

    read = {path: (name, text) for path, name, text in _read(sources)}
    if output is not None:
        _check_distinct({path: name for path, (name, _) in read.items()})
    found = {path: manifest_images(text, str(path)) for path, (_, text) in read.items()}
    names: dict[tuple[Path, str], str] = {}
    for path, images in found.items():
        for image in images:
            key = (path.parent, image.name)
            names[key] = names.get(key) or _resolved(path, image, terminal, push=not no_push, flags=flags)
    done = [(name, with_images(text, {it: names[path.parent, it.name] for it in found[path]})) for path, (name, text) in read.items()]
    written = [str(_write(output / name, text)) for name, text in done] if output is not None else []
    texts = [text for _, text in done]
    resolved = {name: digest for (_, name), digest in names.items()}
    lines = written if output is not None else _joined(texts).splitlines()
    terminal.result(lambda: {"files": written, "texts": texts, "images": resolved}, lines)


def _resolved(path: Path, image: "ManifestImage", terminal: Terminal, *, push: bool, flags: dict[str, Any]) -> str:
    """Return the name of an image with its digest. Raise what a build or a registry refuses, with the line that names the image."""
    from shipwheel.stack.manifest_images import PROJECT_SCHEME

    where = f"{path}, line {image.line}: {image.name}"
    if not image.name.startswith(PROJECT_SCHEME):
        return image.name if "@sha256:" in image.name else image_in_registry(image.name, where, terminal.report).name
    project = path.parent / image.name.removeprefix(PROJECT_SCHEME)
    if not project.exists():
        raise UsageError(f"{where}: {project} does not exist", hint="Name a project by its path, relative to the manifest.")
    built = built_image(project, dict(flags), terminal, push=push)
    if "@" not in built.name:
        raise UsageError(
            f"{where}: the project has no tag with a registry", hint='Set tag = "registry.example/team/app:1" in its settings.'
        )
    return built.name


def _check_distinct(names: Mapping[Path, str]) -> None:
    """Raise UsageError if two manifests would be written to one file."""
    paths: dict[str, Path] = {}
    for path, name in names.items():
        if (other := paths.setdefault(name, path)) != path:
            raise UsageError(f"{other} and {path} would both be written to {name}", hint="Name the directory that has both: -f DIR.")


def _read(sources: tuple[Path, ...]) -> Iterator[tuple[Path, str, str]]:
    """Yield each manifest: its path, that below its directory, and its text. Raise UsageError for one that cannot be read."""
    for source in sources:
        if str(source) == "-":
            yield source, "manifests.yaml", sys.stdin.read()
            continue
        folder = source if source.is_dir() else source.parent
        files = sorted(path for path in source.rglob("*") if path.suffix in _SUFFIXES) if source.is_dir() else [source]
        if not files:
            raise UsageError(f"{source} has no manifests", hint=f"Name a directory with {' or '.join(_SUFFIXES)} files.")
        for file in files:
            try:
                yield file, file.relative_to(folder).as_posix(), file.read_bytes().decode()
            except (OSError, UnicodeDecodeError) as error:
                reason = (error.strerror or error) if isinstance(error, OSError) else "not UTF-8"
                raise UsageError(f"cannot read {file}: {reason}", hint="Name a manifest, or a directory with manifests.") from error


def _write(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    # As bytes, which keep the ends of lines.
    file.write_bytes(text.encode())
    return file


def _joined(texts: Iterable[str]) -> str:
    """Return manifests as one stream."""
    parts = [text if text.startswith("---") else f"---\n{text}" for text in texts]
    return "\n".join(part.rstrip("\n") for part in parts) + "\n"
