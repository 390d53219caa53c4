"""The stages of a Dockerfile, evaluated: what an image that is built from one has and does (the Dockerfile reference)."""

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec

from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.project.deployment.dockerfile import Instruction, exec_form, parse_pairs
from shipwheel.project.deployment.script import NoFiles, Script, ShellCommand
from shipwheel.project.deployment.secrets import has_credentials, is_secret
from shipwheel.project.deployment.shell import run_shell, run_words
from shipwheel.project.deployment.shell_words import USUAL_PATH, ShellState
from shipwheel.project.deployment.written_files import copied_documents, written_files

__all__ = ["FIRST_PORT", "Copy", "Stage", "evaluate_stages", "parse_port"]

FIRST_PORT = 1024
"""The first port that a user other than root can listen on everywhere."""

_UNKNOWN_DIRECTORY = "/\0"
_VARIABLE = lazy_pattern(r"\\(.)|\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)(?:(:?[-+])([^{}$]*))?\})", re.ASCII)
_MOVES = frozenset({"mv", "cp"})
_MAX_STAGES = 50


def parse_port(word: str) -> str:
    """Return the number of a TCP port, written as 80 or 80/tcp; empty if it is none."""
    word = word.removesuffix("/tcp")
    return word if re.fullmatch(r"[1-9][0-9]{0,4}", word) and int(word) < 1 << 16 else ""


class Copy(msgspec.Struct, frozen=True):
    """Files that an instruction puts into a stage."""

    sources: tuple[str, ...]
    target: str
    """Absolute; with a slash at its end if it is a directory for sure."""
    line: int
    origin: "Stage | None" = None
    """The stage that they come from; None for the build context."""
    image: str = ""
    """The image that they come from, if that is no stage of this file."""
    file: str = ""
    """The Dockerfile."""


class Stage(msgspec.Struct, frozen=True):
    """A stage with all that it inherits from the stages that it is built on."""

    name: str
    image: str
    """The image that it starts from in the end."""
    line: int
    """The line of the FROM instruction."""
    entrypoint: str = ""
    """The arguments of ENTRYPOINT, as written."""
    command: str = ""
    """The arguments of CMD, as written."""
    entrypoint_line: int = 0
    command_line: int = 0
    ports: tuple[str, ...] = ()
    """The TCP ports of EXPOSE."""
    udp_ports: tuple[str, ...] = ()
    """Its UDP ports."""
    volumes: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    """(name, value) of ENV. Those of ARG do not exist when the command starts."""
    secrets: tuple[str, ...] = ()
    """Names of ENV variables whose values may be secret; `variables` lacks them."""
    unknown: tuple[str, ...] = ()
    """Names of ENV variables whose values are not known, those of `secrets` included."""
    workdir: str = ""
    user: str = ""
    health: str = ""
    """The arguments of HEALTHCHECK, as written."""
    stop_signal: str = ""
    copies: tuple[Copy, ...] = ()
    runs: tuple[ShellCommand, ...] = ()
    """The commands of RUN instructions."""
    file: str = ""
    """The Dockerfile of the stage."""
    started_in: str = ""
    """The Dockerfile that has the last ENTRYPOINT or CMD, which may be the one of a stage's image."""
    written: tuple[tuple[str, str], ...] = ()
    """(absolute path, content) of the files that its instructions have in themselves."""

    @property
    def origins(self) -> "tuple[Stage, ...]":
        """The stages that files are copied from, directly or not."""
        found: dict[tuple[str, int], Stage] = {}
        pending = [self]
        while pending:
            for copy in pending.pop().copies:
                if copy.origin is not None and (place := (copy.origin.file, copy.origin.line)) not in found:
                    found[place] = copy.origin
                    pending.append(copy.origin)
        return tuple(found.values())


def _no_image(_name: str) -> Stage | None:
    return None


def evaluate_stages(
    instructions: Iterable[Instruction],
    name: str,
    arguments: Mapping[str, str] | None = None,
    workdir: str = "",
    images: Callable[[str], Stage | None] = _no_image,
) -> tuple[Stage, ...]:
    """Return the stages of a Dockerfile.

    `name` is the file's, for messages. `arguments` are build arguments (--build-arg), which replace the defaults of ARG. `workdir` is the
    working directory that the images have which stages start from. `images` returns the stage that makes an image, None for one of others.
    """
    stages: list[Stage] = []
    builder, defaults, given = _StageBuilder(name, {}, images), dict[str, str](), dict(arguments or {})
    for instruction in instructions:
        if instruction.keyword == "FROM":
            if len(stages) == _MAX_STAGES:
                break
            if not stages and builder.line == 0:
                # An ARG before the first stage is a default for stages that declare it again.
                defaults = {**builder.arguments, **given}
                builder.arguments = defaults
            if builder.line:
                stages.append(builder.stage())
            builder = _StageBuilder.start(instruction, name, stages, defaults, images)
            builder.workdir = builder.workdir or workdir
        elif instruction.keyword == "ARG" and (text := instruction.text.partition("=")[0].strip()) in {**defaults, **given}:
            # Docker takes the value that was given, or the default of the first ARG.
            builder.arguments[text] = {**defaults, **given}[text]
        elif instruction.keyword != "ONBUILD":
            builder.add(instruction)
    if builder.line:
        stages.append(builder.stage())
    return tuple(stages)


class _StageBuilder(msgspec.Struct):
    """Collects the instructions of one stage."""

    file: str
    stages: Mapping[str, Stage]
    images: Callable[[str], Stage | None] = _no_image
    name: str = ""
    image: str = ""
    line: int = 0
    entrypoint: tuple[str, int] = ("", 0)
    command: tuple[str, int] = ("", 0)
    workdir: str = ""
    user: str = ""
    health: str = ""
    stop_signal: str = ""
    ports: dict[str, None] = msgspec.field(default_factory=dict)
    udp_ports: dict[str, None] = msgspec.field(default_factory=dict)
    volumes: dict[str, None] = msgspec.field(default_factory=dict)
    variables: dict[str, str] = msgspec.field(default_factory=dict)
    arguments: dict[str, str] = msgspec.field(default_factory=dict)
    secrets: dict[str, None] = msgspec.field(default_factory=dict)
    of_build: dict[str, str] = msgspec.field(default_factory=dict)
    unknown: dict[str, None] = msgspec.field(default_factory=dict)
    copies: list[Copy] = msgspec.field(default_factory=list)
    runs: list[ShellCommand] = msgspec.field(default_factory=list)
    started_in: str = ""
    written: dict[str, str] = msgspec.field(default_factory=dict)
    has_command: bool = False

    @classmethod
    def start(
        cls,
        instruction: Instruction,
        file: str,
        stages: Sequence[Stage],
        defaults: Mapping[str, str],
        images: Callable[[str], Stage | None],
    ) -> "_StageBuilder":
        """Return the builder of the stage that a FROM starts, with what it inherits."""
        known = {**{str(number): stage for number, stage in enumerate(stages)}, **{stage.name: stage for stage in stages if stage.name}}
        words = instruction.text.split()
        outer = cls(file, known, images, arguments=dict(defaults))
        image = outer.expanded(words[0]) or words[0] if words else ""
        name = words[2].lower() if len(words) == 3 and words[1].lower() == "as" else ""
        parent = known.get(image.lower()) or images(image)
        if parent is None:
            return cls(file, known, images, name, image, instruction.line)
        return cls(
            file,
            known,
            images,
            name,
            parent.image,
            instruction.line,
            (parent.entrypoint, parent.entrypoint_line),
            (parent.command, parent.command_line),
            parent.workdir,
            parent.user,
            parent.health,
            parent.stop_signal,
            dict.fromkeys(parent.ports),
            dict.fromkeys(parent.udp_ports),
            dict.fromkeys(parent.volumes),
            dict(parent.variables),
            {},
            dict.fromkeys(parent.secrets),
            {},
            dict.fromkeys(parent.unknown),
            list(parent.copies),
            list(parent.runs),
            parent.started_in,
            dict(parent.written),
        )

    def stage(self) -> Stage:
        return Stage(
            self.name,
            self.image,
            self.line,
            self.entrypoint[0],
            self.command[0],
            self.entrypoint[1],
            self.command[1],
            tuple(self.ports),
            tuple(self.udp_ports),
            tuple(self.volumes),
            tuple(self.variables.items()),
            tuple(self.secrets),
            tuple(self.unknown),
            self.workdir,
            self.user,
            self.health,
            self.stop_signal,
            tuple(self.copies),
            tuple(self.runs),
            self.file,
            self.started_in,
            tuple(self.written.items()),
        )

    def add(self, instruction: Instruction) -> None:
        text = instruction.text
        match instruction.keyword:
            case "CMD":
                self.command, self.started_in, self.has_command = (_without_none(text), instruction.line), self.file, True
            case "ENTRYPOINT":
                # It resets the CMD of the stage's image, but not the stage's own.
                self.entrypoint = (_without_none(text), instruction.line)
                self.command = self.command if self.has_command else ("", 0)
                self.started_in = self.file
            case "EXPOSE":
                words = (expanded for word in text.split() if (expanded := self.expanded(word)))
                parts = [part for word in words for part in word.split()]
                self.ports.update(dict.fromkeys(port for part in parts if (port := parse_port(part))))
                udp = (part.removesuffix("/udp") for part in parts if part.endswith("/udp"))
                self.udp_ports.update(dict.fromkeys(port for part in udp if (port := parse_port(part))))
            case "VOLUME":
                paths = (self.expanded(word) for word in exec_form(text) or text.split())
                self.volumes.update(dict.fromkeys(posixpath.normpath(path) for path in paths if path and path.startswith("/")))
            case "ENV":
                for name, value in parse_pairs(text):
                    self._set(self.variables, name, value)
            case "ARG":
                for name, value in parse_pairs(text):
                    self._set(self.arguments, name, value)
            case "WORKDIR":
                self.workdir = _directory(self.workdir or "/", self.expanded(text))
            case "USER":
                self.user = self.expanded(text) or ""
            case "HEALTHCHECK":
                self.health = "" if text.upper() == "NONE" else text
            case "STOPSIGNAL":
                self.stop_signal = self.expanded(text) or ""
            case "COPY" | "ADD":
                self._copy(instruction)
            case "RUN":
                self._run(instruction)

    def _copy(self, instruction: Instruction) -> None:
        self.written.update(copied_documents(instruction, self.workdir or "/"))
        words = [self.expanded(word) for word in exec_form(instruction.text) or instruction.text.split()]
        if len(words) < 2 or None in words or instruction.documents:
            return
        *sources, target = [str(word) for word in words]
        absolute = _directory(self.workdir or "/", target)
        is_directory = target.endswith(("/", "/.")) or target == "." or len(sources) > 1
        origin = instruction.flag("from")
        source = self.expanded(origin) or ""
        stage = self.stages.get(source.lower()) or (self.images(source) if source else None)
        if instruction.flag("parents") or "parents" in dict(instruction.flags):
            return
        image = origin if origin and stage is None else ""
        # Docker sees nothing above the context: `../app` there is `app`.
        sources = [posixpath.normpath("/" + source) if not origin and ".." in source.split("/") else source for source in sources]
        self.copies.append(
            Copy(tuple(sources), absolute + "/" * (is_directory and absolute != "/"), instruction.line, stage, image, self.file)
        )

    def _run(self, instruction: Instruction) -> None:
        self.copies += _bound(instruction)
        state = ShellState({**self.arguments, **self.variables}, (), self.workdir or "/")
        words = exec_form(instruction.text)
        if words is not None:
            found = run_words(words, state, NoFiles(), (self.file, instruction.line))
        else:
            text = instruction.documents[0] if instruction.documents and instruction.text.startswith("<<") else instruction.text
            found = run_shell(Script(self.file, text.encode()), state, NoFiles(), instruction.line)
        self.runs += (msgspec.structs.replace(command, env=tuple(self._with_stand_ins(dict(command.env)).items())) for command in found)
        self.written |= written_files(instruction, state, self.written)
        for command in found:
            arguments = [word for word in command.words[1:] if not word.startswith("-")]
            if command.words[0] in _MOVES and len(arguments) == 2 and not command.doubt and command.directory:
                source, target = (posixpath.join(command.directory, word) for word in arguments)
                self.copies.append(Copy((posixpath.normpath(source),), target, command.line, self.stage(), file=self.file))

    def _with_stand_ins(self, env: dict[str, str]) -> dict[str, str]:
        """Return what a command of the build gets, with the file's defaults of secret arguments: they only stand in for other values."""
        return {**self.of_build, **{name: value for name, value in env.items() if value.strip("\0") or name not in self.of_build}}

    def _set(self, target: dict[str, str], name: str, value: str) -> None:
        plain = self._unquoted(value)
        target.pop(name, None)
        secret = is_secret(name, plain or "")
        # A default of ARG is for the build alone; what ENV has is what production runs with.
        if target is self.arguments and plain and secret and not has_credentials(plain):
            self.of_build[name] = plain
        if plain is not None and not secret:
            target[name] = plain
        elif target is self.variables:
            self.unknown[name] = None
            self.secrets.update({name: None} if secret and plain else {})

    def _unquoted(self, value: str) -> str | None:
        """Return a value without its quotes and with its variables, which single quotes keep."""
        parts: list[str] = []
        for part in re.findall(r"'[^']*'|\"(?:[^\"\\]|\\.)*\"|[^'\"]+|['\"]", value, re.DOTALL):
            if part.startswith("'"):
                parts.append(part[1:-1])
            else:
                text = self.expanded(part[1:-1] if len(part) > 1 and part.startswith('"') else part)
                if text is None:
                    return None
                parts.append(text)
        return "".join(parts)

    def expanded(self, text: str) -> str | None:
        """Return the text with the values of its variables; None if one is unknown or may be secret."""
        if "$" not in text and "\\" not in text:
            return text
        unknown = False

        def value(match: re.Match[str]) -> str:
            nonlocal unknown
            if match[1]:
                return match[1]
            name, operator = match[2] or match[3], match[4] or ""
            found = self.variables.get(name, self.arguments.get(name, USUAL_PATH if name == "PATH" else None))
            if operator.endswith("+"):
                return match[5] if found else ""
            found = match[5] if operator and not found else found
            unknown = unknown or found is None
            return found or ""

        result = _VARIABLE.sub(value, text)
        return None if unknown or "$" in re.sub(r"\\\$", "", _VARIABLE.sub("", text)) else result


def _directory(base: str, path: str | None) -> str:
    """Return a directory relative to another. One with an unknown variable is outside every project."""
    return posixpath.normpath(posixpath.join(base, (path or _UNKNOWN_DIRECTORY).strip("\"'")))


def _bound(instruction: Instruction) -> Iterator[Copy]:
    """Yield the files of the context that are mounted while a RUN instruction runs, which count as copied."""
    for flag, value in instruction.flags:
        fields = dict(part.partition("=")[::2] for part in value.split(",")) if flag == "mount" else {}
        source, target = fields.get("source", fields.get("src", "")), fields.get("target", fields.get("dst", fields.get("destination", "")))
        if fields.get("type") == "bind" and not fields.get("from") and source and target.startswith("/"):
            yield Copy((source,), target, instruction.line)


def _without_none(text: str) -> str:
    """Return the words of an instruction as they are written; empty for an empty list of JSON."""
    return "" if re.fullmatch(r"\[\s*\]", text) else text
