"""Front ends that node has to build: those of the Dockerfile's node stages, and one whose output the source serves."""

import json
import posixpath
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

from msgspec.structs import replace

from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.project.deployment.built_files import BuiltFiles, OwnBuild, missing_note
from shipwheel.project.deployment.script import list_names
from shipwheel.project.entrypoint.evidence import Evidence
from shipwheel.project.entrypoint.launch import FrontEnd, Launch
from shipwheel.project.entrypoint.scan import Scan
from shipwheel.project.node_wish import named_range
from shipwheel.settings.build import AssetSettings

__all__ = ["with_front_ends"]

_FETCHES = lazy_pattern(
    r"(npm|pnpm|yarn|bun)\s+(ci|i|install|add|cache|config|set|update|fetch)\b.*|(yarn|npm|pnpm)(\s+--?[\w=-]+)*|corepack\b.*|.*\bserve\b.*"
)
_FOLDERS = ("", "frontend", "front", "ui", "web", "client", "webapp", "web-ui", "assets", "js", "app/frontend", "src/frontend")
_OUT_DIR = lazy_pattern(r"""\bout(?:put)?Dir\s*:[\w.(),\s]*["']([^"']+)["']""")
"""A path, perhaps within calls: path.resolve(__dirname, "dist"), fileURLToPath(new URL("dist", import.meta.url))."""
_WRITES = lazy_pattern(r"(?:^|\s)(?:-o|--output|--outfile|--out-file)[ =]([\w./-]+)")
_WATCHES = lazy_pattern(r"\s(?:-w|--watch)(?=\s|=always|$)")
_THEME = "static_src"
"""The directory in a Django app that django-tailwind builds its style sheet in."""
_CONFIGURATIONS = ("vite.config.ts", "vite.config.js", "vite.config.mjs", "vite.config.mts", "vue.config.js")
_PACKAGES = lazy_pattern(
    r"""(?:\bjoin\([^\n]{0,200}|[/+]\s*|\bdirectory=|\b(?:static_folder|static_path)=|\bsend_from_directory\()["'](?:[^"'\s]*/)?node_modules["'/]"""
)
"""The directory of node's packages as a part of a path; a list of directories to leave out only has its name."""
_OTHER_LOCKS = ("yarn.lock", "pnpm-lock.yaml", "bun.lock", "bun.lockb")
"""Locks of managers whose packages npm does not take away again."""
_MAX_SOURCES = 300
_MAX_SIBLINGS = 50


def with_front_ends(launch: Launch, evidence: Evidence, scan: Scan) -> Launch:
    """Return the launch with the front ends that are missing, and a note about each, unless the settings name some."""
    if evidence.settings.assets or evidence.single_file is not None:
        return launch
    missing = [built for built in scan.deployment.built if not built.is_there and not built.is_made]
    found, notes = list[FrontEnd](), list[str]()
    for files in missing:
        front = _of_stage(files)
        notes.append(missing_note(files, is_known=front is not None))
        found += [front] if front is not None else []
    for built in scan.deployment.own_builds:
        front = _of_own(built, evidence) if launch.needs_source else None
        notes.append(built.note(is_known=front is not None))
        found += [front] if front is not None else []
    if not missing and not found and launch.needs_source:
        found = [*(list(_served(evidence, scan)) or _written_by_scripts(evidence)), *_served_packages(evidence, scan)]
        notes += [f"{front.reason}. `shipwheel init` writes the setting that builds it." for front in found]
    if not missing and not found:
        notes += _made_beside(evidence, scan.deployment.folders)
    return replace(launch, front_ends=tuple(found), notes=(*launch.notes, *dict.fromkeys(notes)))


def _made_beside(evidence: Evidence, folders: Sequence[Path]) -> Iterator[str]:
    """Yield a note about each front end beside the project, in its repository, whose build writes into the project, and did not."""
    # Other directories are nobody's business, and change all the time.
    is_inside = evidence.root.parent in folders
    for name in islice(list_names(evidence.root.parent), _MAX_SIBLINGS) if is_inside else ():
        folder = f"../{name}"
        for file in _CONFIGURATIONS if name != evidence.root.name and _builds(evidence, folder) else ():
            named = _OUT_DIR.search(evidence.read_text(f"{folder}/{file}"))
            output = posixpath.relpath(posixpath.join(folder, named[1]), f"../{evidence.root.name}") if named is not None else "."
            if not output.startswith(".") and not evidence.exists(output):
                what = f"{folder}/{file} writes a front end to {output} of this directory, and it is not there"
                yield f"{what}: run `npm ci` and `npm run build` in {folder}, and then build the image."


def _of_stage(built: BuiltFiles) -> FrontEnd | None:
    """Return the settings for what a node stage makes; None if it is not known what to run, or where."""
    run = _run(built.commands)
    if not run or not built.made or not built.directory:
        return None
    to = built.path if built.path != built.made else ""
    settings = AssetSettings(run, built.made, built.directory, to, node=named_range(built.node))
    return FrontEnd(settings, f"{built.place}: {built.shown} makes {built.path} for the image")


def _of_own(built: OwnBuild, evidence: Evidence) -> FrontEnd | None:
    """Return the settings for what the image's own stage builds; None if it is not known what to run, or there is no package.json."""
    run = _run(built.commands)
    if not run or not built.directory or not evidence.exists(posixpath.join(built.directory, "package.json")):
        return None
    return FrontEnd(AssetSettings(run, in_=built.directory), f"{built.place}: `{built.commands[-1]}` builds a front end")


def _run(commands: Sequence[str]) -> tuple[str, ...]:
    """Return the words that run what is not done anyway; none if nothing is left, or nobody can tell the words."""
    # bun is there only where no other lock file is; npm always is, and runs the same scripts.
    left = [re.sub(r"^bun run ", "npm run ", text) for text in commands if _FETCHES.fullmatch(text) is None]
    try:
        return tuple(shlex.split(left[0])) if len(left) == 1 else ("sh", "-c", " && ".join(left)) if left else ()
    except ValueError:
        return ()


def _served(evidence: Evidence, scan: Scan) -> Iterator[FrontEnd]:
    """Yield the front end whose output the source names by its path, and which is not there."""
    folder = next((name for name in _FOLDERS if _builds(evidence, name)), None)
    if folder is None:
        return
    output = _output(evidence, folder)
    if not output or evidence.exists(output):
        return
    sources = (module.file for module in scan.modules[:_MAX_SOURCES])
    place = next((file for file in sources if _names(evidence.read_text(file), folder, output)), "")
    if place:
        stated = AssetSettings(("npm", "run", "build"), output, folder or ".")
        yield FrontEnd(stated, f"{place} serves {output}, which `npm run build` makes from {posixpath.join(folder, 'package.json')}")


def _served_packages(evidence: Evidence, scan: Scan) -> Iterator[FrontEnd]:
    """Yield the packages of node that the source serves from where they are installed, without those for developing."""
    folder = next((name for name in _FOLDERS if evidence.has_file(posixpath.join(name, "package.json"))), None)
    if folder is None or evidence.exists(output := posixpath.join(folder, "node_modules")):
        return
    sources = (module.file for module in scan.modules[:_MAX_SOURCES])
    place = next((file for file in sources if _PACKAGES.search(evidence.read_text(file))), "")
    if not place:
        return
    others = any(evidence.has_file(posixpath.join(folder, name)) for name in _OTHER_LOCKS)
    run = ("node", "-e", "0") if others else ("npm", "prune", "--omit=dev")
    what = f"{place} serves {output}, which the packages of {posixpath.join(folder, 'package.json')} are installed in"
    yield FrontEnd(AssetSettings(run, output, folder or "."), what)


def _written_by_scripts(evidence: Evidence) -> Iterator[FrontEnd]:
    """Yield the builds whose scripts write a file of static files that is not there, as Tailwind's: `-o ../static/css/dist/styles.css`."""
    below = (f"{name}/{_THEME}" for name in islice(list_names(evidence.root), _MAX_SIBLINGS))
    for folder in (*_FOLDERS, *below):
        texts = _texts_of_build(_scripts(evidence, folder))
        outputs = {posixpath.normpath(posixpath.join(folder, match[1])) for text in texts for match in _WRITES.finditer(text)}
        missing = sorted(each for each in outputs if "static" in each.split("/") and not evidence.exists(each))
        if missing and not missing[0].startswith(("..", "/")):
            stated = AssetSettings(("npm", "run", "build"), missing[0] if len(outputs) == 1 else "", folder or ".")
            yield FrontEnd(stated, f"`npm run build` of {posixpath.join(folder, 'package.json')} makes {missing[0]}, which is not there")


def _texts_of_build(scripts: Mapping[str, str]) -> tuple[str, ...]:
    """Return the script of `npm run build`, and those that it runs; none if one of them goes on watching."""
    build = scripts.get("build", "")
    run = (text for name, text in scripts.items() if name.startswith("build:") and (name in build or "build:*" in build))
    texts = (build, *run)
    return () if any(map(_WATCHES.search, texts)) else texts


def _builds(evidence: Evidence, folder: str) -> bool:
    return "build" in _scripts(evidence, folder)


def _scripts(evidence: Evidence, folder: str) -> dict[str, str]:
    """Return the scripts of a package.json."""
    try:
        data = json.loads(evidence.read_text(posixpath.join(folder, "package.json")) or "{}").get("scripts", {})
        return {name: text for name, text in data.items() if isinstance(text, str)}
    except (ValueError, AttributeError, RecursionError):
        return {}


def _output(evidence: Evidence, folder: str) -> str:
    """Return the directory that the build makes: vite's and Vue CLI's, build for Create React App; empty if it is not known."""
    texts = [evidence.read_text(posixpath.join(folder, name)) for name in _CONFIGURATIONS]
    package = evidence.read_text(posixpath.join(folder, "package.json"))
    named = next((match[1] for text in texts if (match := _OUT_DIR.search(text)) is not None), "")
    if not named:
        named = "dist" if any(texts) or '"@vue/cli-service"' in package else "build" if '"react-scripts"' in package else ""
    path = posixpath.normpath(posixpath.join(folder, named)) if named else ""
    return "" if path in ("", ".", folder) or path.startswith(("..", "/")) else path


def _names(text: str, folder: str, output: str) -> bool:
    """Return whether a source names a directory: "frontend/dist", or "frontend" and "dist" in one line."""
    parts = [part for part in output.split("/") if part]
    pieces = [rf"""["'/]{re.escape(part)}["'/]""" for part in parts[-2:]]
    whole = re.compile(rf"""["'/.]{re.escape(posixpath.join(*parts[-2:]))}["'/]""")
    if len(parts) == 1 and not folder:
        return bool(re.search(rf"""(static_folder|directory|StaticFiles|send_from_directory)[^\n]*{pieces[0]}""", text))
    return bool(whole.search(text)) or any(all(re.search(piece, line) for piece in pieces) for line in _lines_with(text, parts[-1]))


def _lines_with(text: str, word: str) -> Iterable[str]:
    return (line for line in text.splitlines() if word in line)
