"""`shipwheel export`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from shipwheel.cli.command import Command, option
from shipwheel.cli.image_digests import built_image, image_in_registry
from shipwheel.cli.options import some_options
from shipwheel.cli.services import stack_argument
from shipwheel.cli.terminal import Terminal
from shipwheel.errors import UsageError
from shipwheel.made_files import is_made

if TYPE_CHECKING:
    from shipwheel.stack.image import PlacedService
    from shipwheel.stack.model import Stack

__all__ = ["command"]

_FORMATS = ("compose", "kubernetes", "podman", "helm", "dockerfile", "bake", "devcontainer", "github-actions", "gitlab-ci")
_NEEDS_DIRECTORY = ("helm", "dockerfile", "bake")
"""The formats of several files that are no documents of one stream."""

_MEMORY_STEP = 32 << 20


class _Exported(msgspec.Struct, frozen=True):
    """Files by their relative paths: those to write each time, and those that are a person's once they are there.

    `context` is the directory of the files that a Dockerfile copies, and must be beside.
    """

    files: dict[str, str]
    once: dict[str, str] = msgspec.field(default_factory=dict)
    note: str = ""
    context: Path | None = None


@click.command(
    "export",
    cls=Command,
    help="""Write files that run a project and its services elsewhere. FORMAT is compose (a compose file), kubernetes (manifests with a
    kustomization), podman (pods for `podman kube play`) or helm (a chart): the project is built, and every image has its digest.
    github-actions and gitlab-ci are pipelines that build, check, push and deploy it; dockerfile and bake do what BuildKit can; devcontainer
    is for editors.""",
    examples=(
        "shipwheel export compose",
        "shipwheel export compose . --push -o deploy",
        "shipwheel export kubernetes --push -o deploy",
        "shipwheel export podman --push -o deploy",
        "shipwheel export helm --push -o chart",
        "shipwheel export github-actions -o .",
        "shipwheel export dockerfile -o .",
        "shipwheel export devcontainer -o .",
    ),
)
@click.argument("form", metavar="FORMAT", type=click.Choice(_FORMATS))
@stack_argument
@option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="DIR", help="Directory to write into [standard output].", group="Destination"
)
@option("--push", is_flag=True, help="Push the images of the projects to the registries that their `tag` names.", group="Destination")
@option(
    "--measure",
    is_flag=False,
    flag_value="",
    metavar="[ENGINE]",
    help="Start the image of each project, as check does, and limit its memory to twice of what it used, unless the settings limit it.",
    group="Services",
)
@some_options("locked", "frozen", "yes")
def command(terminal: Terminal, form: str, path: Path, output: Path | None, push: bool, measure: str | None, **flags: Any) -> None:
    """Build, resolve the images of others, and write; nothing is started."""
    from shipwheel.stack.image import place_all
    from shipwheel.stack.model import SCHEDULED
    from shipwheel.stack.read import read_stack

    if output is None and form in _NEEDS_DIRECTORY:
        raise UsageError(
            f"export {form} writes several files", hint="Name a directory for them: -o DIR, for a Dockerfile the project's own."
        )
    if form not in _STACK_FORMATS:
        _show(_of_project(form, path, flags, terminal), output, {}, terminal)
        return
    stack = read_stack(path)
    if form != "compose":
        # Only compose has profiles, and clusters have clocks.
        stack = stack.with_profiles({SCHEDULED} if any(SCHEDULED in it.profiles for it in stack.services) else ())
    if measure is not None:
        stack = _measured(stack, measure, flags, terminal)
    placed = place_all(
        stack,
        lambda where, reference: image_in_registry(reference, where, terminal.report),
        lambda project: built_image(project, dict(flags), terminal, push=push),
    )
    _show(_STACK_FORMATS[form](stack, placed), output, {it.service.name: it.image.name for it in placed}, terminal)


def _show(exported: _Exported, output: Path | None, images: dict[str, str], terminal: Terminal) -> None:
    written = _write(exported, output) if output is not None else []
    if exported.note:
        terminal.note(exported.note)
    context = exported.context
    if output is not None and context is not None and output.resolve() != context.resolve():
        terminal.note(f"a Dockerfile copies files from beside it: before you build, copy all that is in {output} into {context.resolve()}")
    texts = exported.files or exported.once
    # kubectl takes one stream of manifests, which a kustomization, whose paths are those of files, has no place in.
    printed = [text for name, text in texts.items() if not name.endswith("kustomization.yaml")]
    lines = written if output is not None else "---\n".join(printed).splitlines()
    terminal.result(lambda: {"files": written, "texts": texts, "images": images}, lines)


def _of_project(form: str, path: Path, flags: dict[str, Any], terminal: Terminal) -> _Exported:
    """Return the files of a format that is about a project alone, without its services."""
    match form:
        case "dockerfile" | "bake":
            return _dockerfile(form, path, flags, terminal)
        case "devcontainer":
            return _devcontainer(path, flags, terminal)
        case _:
            return _pipeline(form, path)


def _devcontainer(path: Path, flags: dict[str, Any], terminal: Terminal) -> _Exported:
    from shipwheel.cli.dev_workbench import EDITOR_TAG
    from shipwheel.cli.options import request_from
    from shipwheel.dev.devcontainer import devcontainer_file
    from shipwheel.engine.run_options import slug
    from shipwheel.pipeline.build import resolve_request

    project = resolve_request(request_from(path, dict(flags), terminal.report)).project
    return _Exported({}, {".devcontainer/devcontainer.json": devcontainer_file(project, f"{slug(project.name)}:{EDITOR_TAG}")})


def _pipeline(form: str, path: Path) -> _Exported:
    """Return the pipeline of a project, or of a workspace. Raise UsageError if a tag names no registry."""
    from shipwheel import __version__
    from shipwheel.cli.pipeline_subject import pipeline_subject
    from shipwheel.stack.gitlab_ci import gitlab_pipeline, unchecked_note
    from shipwheel.stack.pipelines import github_workflow

    subject = pipeline_subject(path)
    if form == "gitlab-ci":
        return _Exported({}, {".gitlab-ci.yml": gitlab_pipeline(subject, __version__)}, unchecked_note(subject))
    return _Exported({}, {".github/workflows/image.yaml": github_workflow(subject, __version__)})


def _dockerfile(form: str, path: Path, flags: dict[str, Any], terminal: Terminal) -> _Exported:
    from shipwheel.cli.dockerfile_facts import dockerfile_of
    from shipwheel.oci.reference import Reference
    from shipwheel.project.read import find_settings
    from shipwheel.stack.bake import bake_file
    from shipwheel.stack.dockerfile import FOLDER, dockerfile, dockerignore

    project, beside = dockerfile_of(path, dict(flags), terminal)
    files = {"Dockerfile": dockerfile(project), "Dockerfile.dockerignore": dockerignore(project)}
    if form == "bake":
        files["docker-bake.hcl"] = bake_file(Reference.parse(find_settings(path).tag or project.name), project.platforms)
    notes = ["the first lines of Dockerfile say what shipwheel does and a Dockerfile cannot", *project.notes]
    files |= {f"{FOLDER}/{name}": text for name, text in beside.items()}
    return _Exported(files, note="\n".join(notes), context=path if path.is_dir() else path.parent)


def _write(exported: _Exported, output: Path) -> list[str]:
    """Write the files below a directory, and return their paths. A file that is a person's stays as it is.

    Raise UsageError, before anything is written, for one that would be written over and that no export made.
    """
    for name, text in exported.files.items():
        file = output / name
        if is_made(text.encode()) and file.exists() and not is_made(file.read_bytes()):
            raise UsageError(f"{file} is not by shipwheel export, so it stays", hint="Rename it, or write elsewhere: -o DIR.")
    written = []
    for name, text in {**exported.files, **exported.once}.items():
        file = output / name
        if name in exported.once and file.exists():
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        written.append(str(file))
    return written


def _compose(stack: "Stack", placed: "tuple[PlacedService, ...]") -> _Exported:
    from shipwheel.stack.compose import SECRETS_FOLDER, compose_file

    secrets = sorted({name for service in stack.services for name in service.secrets})
    listed = ", ".join(f"{SECRETS_FOLDER}/{name}" for name in secrets)
    note = f"it reads {listed} beside it: write a value into each, mode 0444" if secrets else ""
    return _Exported({"compose.yaml": compose_file(stack, placed)}, note=note)


def _kubernetes(stack: "Stack", placed: "tuple[PlacedService, ...]") -> _Exported:
    from shipwheel.stack.kustomize import kustomize_files

    files, once = kustomize_files(stack, placed)
    return _Exported(files, once, _secret_note(stack, f" --namespace {stack.name}"))


def _podman(stack: "Stack", placed: "tuple[PlacedService, ...]") -> _Exported:
    from shipwheel.stack.podman_pods import podman_pods

    return _Exported({"pods.yaml": podman_pods(stack, placed)}, note=_secret_note(stack, " --dry-run=client -o yaml | podman kube play -"))


def _helm(stack: "Stack", placed: "tuple[PlacedService, ...]") -> _Exported:
    from shipwheel.stack.helm import helm_files

    return _Exported(helm_files(stack, placed), note=_secret_note(stack, f" --namespace {stack.name}"))


def _secret_note(stack: "Stack", then: str = "") -> str:
    """Return how to make the Secret that the pods read; empty if they read none. `then` is the end of the command."""
    from shipwheel.stack.kubernetes import secret_name

    if not stack.variables:
        return ""
    # Not by --from-literal, which shows the values in the list of processes and keeps them in the shell's history.
    command = f"kubectl create secret generic {secret_name(stack)} --from-env-file=FILE{then}"
    return f"the pods read a Secret, which you make from a file with {', '.join(f'{name}=…' for name in stack.variables)}: {command}"


_STACK_FORMATS = {"compose": _compose, "kubernetes": _kubernetes, "podman": _podman, "helm": _helm}


def _measured(stack: "Stack", engine_name: str, flags: dict[str, Any], terminal: Terminal) -> "Stack":
    """Return the stack with limits for the memory of its projects' servers, by a trial of each. Raise TrialError if one does not serve."""
    import msgspec

    from shipwheel.cli.loading import load_subject
    from shipwheel.engine.find import find
    from shipwheel.stack.model import ProjectSource
    from shipwheel.trial.observe import Conditions, Subject, trial_name
    from shipwheel.trial.trial import require_good, try_image

    engine = find(engine_name or None, terminal.report, bwrap=True)
    services = []
    for service in stack.services:
        source = service.source
        if isinstance(source, ProjectSource) and source.process == "web" and not service.is_job and service.memory is None:
            loaded = load_subject(str(source.path), engine, None, dict(flags), terminal.report, trial_name)
            trial = try_image(engine, Subject(loaded.name, loaded.config, loaded.platform, loaded.project), Conditions(), terminal.report)
            require_good([trial], service.name)
            used = trial.seen.memory
            service = msgspec.structs.replace(service, memory=-(-2 * used // _MEMORY_STEP) * _MEMORY_STEP)
        services.append(service)
    return msgspec.structs.replace(stack, services=tuple(services))
