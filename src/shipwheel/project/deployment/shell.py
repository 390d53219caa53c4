"""The commands that a shell script runs, found by following it without running anything.

Variables, functions, conditions, `case`, loops, `exec "$@"` and scripts that call each other are followed (POSIX shell, 2.9). A command
that may not run as it is written, or not at all, is reported with the reason for the doubt.
"""

import posixpath
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import cache, lru_cache
from typing import TYPE_CHECKING

import msgspec

from shipwheel.project.deployment.conditions import clauses, decide, expected_branch, is_last, mark_questions, matches_pattern
from shipwheel.project.deployment.script import Script, ScriptFiles, ShellCommand
from shipwheel.project.deployment.secrets import masked
from shipwheel.project.deployment.shell_words import (
    SCRIPT_SOURCE,
    UNKNOWN,
    ShellState,
    assign,
    expand_argument,
    expand_assignment,
    expand_word,
    first_word,
    one_line,
    text_of,
)
from shipwheel.project.deployment.supervisor import is_supervisor, supervised
from shipwheel.project.deployment.wrappers import unwrapped

if TYPE_CHECKING:
    from tree_sitter import Node, Parser, Tree

__all__ = ["parsed_script", "run_shell", "run_words"]

_MAX_STEPS = 4000
"""Nodes and commands that are followed; a longer script is no start script."""
_MAX_DEPTH = 60
_MAX_BYTES = 1 << 18
_MAX_WORDS = 1000
_MAX_ITEMS = 20
"""Values of a `for` loop that are followed."""
_SHELLS = frozenset({"sh", "bash", "dash", "ash", "/bin/sh", "/bin/bash", "/bin/ash", "/bin/dash", "/usr/bin/bash", "/usr/bin/sh"})
_WITHOUT_EFFECT = frozenset(
    "echo printf sleep true : local readonly trap umask ulimit wait return break continue do done then fi esac popd".split()  # noqa: SIM905
)
"""Builtins, and reserved words that the parser takes for commands where it does not understand what is before them."""
_PIPE_SOURCES = frozenset({"yes", "echo", "printf", "cat"})
_PIPE_SINKS = frozenset({"tee", "cat", "logger", "ts", "sed"})


def run_shell(script: Script, state: ShellState, files: ScriptFiles, first_line: int = 1) -> tuple[ShellCommand, ...]:
    """Return the commands of a script in the order in which it runs them, up to the one that it becomes."""
    shell = _Shell(files, state, script.name, first_line)
    shell.run_text(script.data)
    return tuple(shell.commands)


def run_words(words: Sequence[str], state: ShellState, files: ScriptFiles, place: tuple[str, int]) -> tuple[ShellCommand, ...]:
    """Return the commands that a command in exec form leads to: itself, or those of the script that it starts.

    `place` is the file and line for messages.
    """
    shell = _Shell(files, state, *place)
    shell.start(tuple(words), (), " ".join(words), 0, "")
    return tuple(shell.commands)


@cache
def _parser() -> "Parser":
    import tree_sitter_bash
    from tree_sitter import Language, Parser

    return Parser(Language(tree_sitter_bash.language()))


@lru_cache(maxsize=32)
def parsed_script(data: bytes) -> "Tree":
    """Return the syntax tree of a script, which may start itself many times."""
    return _parser().parse(data.replace(b"\r\n", b"\n"))


class _Ended(Exception):
    """The script has ended, or become another program."""


class _Shell(msgspec.Struct):
    files: ScriptFiles
    state: ShellState
    file: str
    line: int
    commands: list[ShellCommand] = msgspec.field(default_factory=list)
    functions: "dict[str, Node]" = msgspec.field(default_factory=dict)
    doubts: tuple[str, ...] = ()
    """Reasons why the commands at this point may not run."""
    background: bool = False
    program: str = ""
    """The name of the program of supervisord that is followed."""
    steps: int = 0
    depth: int = 0

    def run_text(self, data: bytes) -> None:
        """Run a script."""
        if len(data) > _MAX_BYTES:
            return
        with suppress(_Ended):
            self._run(parsed_script(data).root_node)

    def _run(self, node: "Node") -> bool | None:
        """Run a statement and return its success; None if that is not known."""
        self.steps += 1
        if self.depth > _MAX_DEPTH or self.steps > _MAX_STEPS:
            raise _Ended
        self.depth += 1
        try:
            return self._statement(node)
        finally:
            self.depth -= 1

    def _statement(self, node: "Node") -> bool | None:
        match node.type:
            case "word":
                # Where the parser does not understand what is before it.
                return self.start((text_of(node),), (), text_of(node), node.start_point[0], "")
            case "program" | "compound_statement" | "do_group" | "ERROR":
                return self._sequence(node.children)
            case "subshell":
                return self._in_copy(node.children)
            case "command":
                return self._command(node)
            case "list":
                return self._list(node)
            case "redirected_statement":
                body = node.child_by_field_name("body")
                piped = [child for part in node.children if part.type == "heredoc_redirect" for child in part.children]
                if any(child.type == "pipeline" for child in piped):
                    return None
                return self._run(body) if body is not None else None
            case "pipeline":
                return self._pipeline(node)
            case "negated_command":
                outcome = self._run(node.named_children[-1])
                return None if outcome is None else not outcome
            case "test_command":
                return decide(node, self.state, self.files.exists)
            case "variable_assignment" | "variable_assignments" | "declaration_command":
                return self._assign(node)
            case "function_definition":
                return self._define(node)
            case "if_statement":
                return self._if(node)
            case "case_statement":
                return self._case(node)
            case "while_statement":
                return self._loop(node)
            case "for_statement":
                return self._for(node)
            case _:
                return None

    def _sequence(self, nodes: "Sequence[Node]") -> bool | None:
        outcome: bool | None = True
        for number, node in enumerate(nodes):
            if node.is_named and node.type != "comment":
                following = nodes[number + 1] if number + 1 < len(nodes) else None
                if following is not None and following.type == "&":
                    self._in_background(node)
                else:
                    outcome = self._run(node)
        return outcome

    def _in_background(self, node: "Node") -> None:
        before, self.background = self.background, True
        try:
            self._in_copy([node])
        finally:
            self.background = before

    def _in_copy(self, nodes: "Sequence[Node]") -> bool | None:
        """Run statements whose variables and directory nothing else sees."""
        before, self.state = self.state, self.state.copy()
        try:
            return self._sequence(nodes)
        except _Ended:
            return None
        finally:
            self.state = before

    def _doubtful(self, nodes: "Sequence[Node]", reason: str) -> None:
        """Run statements that may not run; they may end the script or not."""
        before = self.doubts
        self.doubts = (*before, reason)
        try:
            with suppress(_Ended):
                self._sequence(nodes)
        finally:
            self.doubts = before

    def _list(self, node: "Node") -> bool | None:
        left, operator, right = node.children[0], node.children[1].type, node.children[-1]
        start, outcome = len(self.commands), self._run(left)
        # What a script ends with is what the container is for, whatever it depends on.
        if outcome is None and operator == "&&" and mark_questions(self.commands, range(start, len(self.commands))) and not is_last(node):
            self._doubtful([right], f"it depends on `{one_line([left])}`")
            return None
        # A command whose success is not known is expected to succeed.
        if (outcome is False) if operator == "&&" else (outcome is not False):
            return outcome
        return self._run(right)

    def _pipeline(self, node: "Node") -> bool | None:
        parts = node.named_children
        names = [first_word(part) for part in parts]
        if all(name in _PIPE_SOURCES for name in names[:-1]):
            return self._run(parts[-1])
        if all(name in _PIPE_SINKS for name in names[1:]):
            return self._run(parts[0])
        self._doubtful(parts, "a pipe needs a shell")
        return None

    def _assign(self, node: "Node") -> bool | None:
        parts = [node] if node.type == "variable_assignment" else node.named_children
        exports = node.type == "declaration_command" and text_of(node.children[0]) == "export"
        names = [assign(part, self.state, certain=not self.doubts) for part in parts if part.type == "variable_assignment"]
        names += [text_of(it) for it in node.named_children if it.type == "variable_name"]
        self.state.exported.update(dict.fromkeys(names if exports else ()))
        return True

    def _define(self, node: "Node") -> bool | None:
        name, body = node.child_by_field_name("name"), node.child_by_field_name("body")
        if name is not None and body is not None:
            self.functions[text_of(name)] = body
        return True

    def _if(self, node: "Node") -> bool | None:
        """Run the branch that the conditions select; with a doubt from the first condition that is not known."""
        doubt, branches = "", list(clauses(node))
        for number, (conditions, body) in enumerate(branches):
            start, outcome = len(self.commands), self._sequence(conditions) if conditions else True
            asked = range(start, len(self.commands))
            if outcome is None and not doubt and (expected := expected_branch(node, branches[number:])) is not None:
                mark_questions(self.commands, asked)
                return self._sequence(expected)
            doubt = doubt or (f"it depends on `{one_line(conditions)}`" if outcome is None else "")
            if outcome is not False and doubt:
                self._doubtful(body, doubt)
            if outcome is None and len(self.commands) > asked.stop:
                # A condition whose body starts nothing is a step that may fail: `if ! python prepare.py; then exit 1; fi`.
                mark_questions(self.commands, asked, are_conditions=True)
            if outcome is True:
                return None if doubt else self._sequence(body)
        return None if doubt else True

    def _case(self, node: "Node") -> bool | None:
        value = node.child_by_field_name("value")
        doubts: list[str] = []
        fields = expand_word(value, self.state, doubts, unset_is_empty=True) if value is not None else []
        reason = f"it depends on `{text_of(value) if value is not None else 'case'}`"
        for item in (child for child in node.named_children if child.type == "case_item"):
            patterns = item.children_by_field_name("value")
            body = [child for child in item.named_children if child not in patterns]
            outcomes = [None if doubts else matches_pattern(pattern, " ".join(fields), self.state) for pattern in patterns]
            if True in outcomes:
                return self._sequence(body)
            if None in outcomes:
                self._doubtful(body, reason)
        return None

    def _loop(self, node: "Node") -> bool | None:
        """Run a loop once: one that waits or tries again ends after the pass that succeeds."""
        body = node.child_by_field_name("body")
        outcome = self._sequence([child for child in node.children_by_field_name("condition") if child.is_named])
        if body is not None and not (outcome is False and node.children[0].type == "while"):
            self._run(body)
        return True

    def _for(self, node: "Node") -> bool | None:
        variable, body = node.child_by_field_name("variable"), node.child_by_field_name("body")
        doubts: list[str] = []
        values = [it for value in node.children_by_field_name("value") for it in expand_word(value, self.state, doubts)]
        if variable is None or body is None:
            return None
        if doubts or len(values) > _MAX_ITEMS or any("*" in value for value in values):
            self._doubtful([body], "it depends on a loop")
            return None
        for value in values:
            self.state.variables[text_of(variable)] = value
            self._run(body)
        return True

    def _command(self, node: "Node") -> bool | None:
        doubts: list[str] = []
        env: list[tuple[str, str]] = []
        words: list[str] = []
        for child in node.named_children:
            if child.type == "variable_assignment":
                env.append(expand_assignment(child, self.state, doubts))
            elif child.type == "command_name":
                words += expand_word(child.named_children[0], self.state, doubts) if child.named_children else [text_of(child)]
            elif child.type not in ("file_redirect", "heredoc_redirect", "herestring_redirect", "comment", "ERROR"):
                expand_argument(child, words, self.state, doubts)
        if node.has_error:
            doubts.append("its syntax is not understood")
        text, doubt = one_line([node]), doubts[0] if doubts else ""
        return self.start(tuple(words), tuple(env), text, node.start_point[0], doubt) if len(words) <= _MAX_WORDS else None

    def start(self, words: tuple[str, ...], env: tuple[tuple[str, str], ...], text: str, row: int, doubt: str) -> bool | None:
        """Run a command whose words are known: a builtin, a function, a script of the repository, or another program."""
        if not words:
            self.state.variables.update(env if not doubt else ())
            return True
        if (builtin := _BUILTINS.get(words[0])) is not None and not doubt:
            return builtin(self, words[1:])
        if words[0] in _WITHOUT_EFFECT:
            return True
        if words[0] in self.functions:
            return self._call(self.functions[words[0]], words[1:])
        becomes = words[0] == "exec"
        words = unwrapped(words)
        if self.depth >= _MAX_DEPTH:
            raise _Ended
        if words and (doubt or not (self._start_supervised(words) or self._start_script(words, env, row))):
            self._record(words, env, text, row, doubt)
        if becomes and not self.doubts:
            raise _Ended
        return None

    def _record(self, words: tuple[str, ...], env: tuple[tuple[str, str], ...], text: str, row: int, doubt: str) -> None:
        given, derived = tuple({**self.state.environment(), **dict(env)}.items()), self.state.derived_environment()
        doubt, line = doubt or (self.doubts[0] if self.doubts else ""), self.line + row
        self.commands.append(
            ShellCommand(words, given, self.state.directory, self.file, line, masked(text), doubt, self.background, self.program, derived)
        )

    def _call(self, body: "Node", arguments: tuple[str, ...]) -> bool | None:
        before, self.state.positional = self.state.positional, arguments
        try:
            return self._run(body)
        finally:
            self.state.positional = before

    def _start_script(self, words: tuple[str, ...], env: tuple[tuple[str, str], ...], row: int) -> bool:
        """Follow `sh -c TEXT` or a shell script of the repository; return False for any other program."""
        if words[0] in _SHELLS:
            rest = words[1:]
            while rest and rest[0].startswith("-"):
                if "c" in rest[0].lstrip("-") and not rest[0].startswith("--"):
                    if len(rest) < 2:
                        return False
                    self._nested(Script(self.file, rest[1].encode()), rest[3:], env, self.line + row)
                    return True
                rest = rest[2:] if rest[0] == "-o" else rest[1:]
            words = rest or words
        found = ((place, script) for place in self.state.places(words[0]) if (script := self.files.read_script(place)) is not None)
        place, script = next(found, ("", None))
        if script is None or not script.is_for_a_shell(words[0]):
            return False
        self._nested(script, words[1:], env, 1, place)
        return True

    def _nested(self, script: Script, arguments: tuple[str, ...], env: Iterable[tuple[str, str]], line: int, path: str = "") -> None:
        state = self.state.copy()
        state.positional, state.script = arguments, path
        state.variables.update((*env, (SCRIPT_SOURCE, path or UNKNOWN)))
        state.exported.update(dict.fromkeys(name for name, _ in env))
        inner = _Shell(self.files, state, script.name, line, self.commands, {}, self.doubts, self.background, self.program)
        self._follow(inner, script.data)

    def _start_supervised(self, words: tuple[str, ...]) -> bool:
        """Follow the programs that supervisord starts, the main one last; return False for any other program."""
        programs = supervised(words, self.state.directory or "/", self.files) if is_supervisor(words) and not self.program else ()
        for program in reversed(programs):
            state = self.state.copy()
            state.directory = posixpath.normpath(posixpath.join(state.directory or "/", program.directory))
            state.variables.update(program.variables)
            state.exported.update(dict.fromkeys(name for name, _ in program.variables))
            beside = self.background or program is not programs[0]
            inner = _Shell(self.files, state, program.file, program.line, self.commands, {}, self.doubts, beside, program.name)
            self._follow(inner, program.command.encode())
        return bool(programs)

    def _follow(self, inner: "_Shell", data: bytes) -> None:
        """Run what another shell runs, as part of this one."""
        inner.steps, inner.depth = self.steps, self.depth + 1
        inner.run_text(data)
        self.steps = inner.steps

    def cd(self, words: tuple[str, ...]) -> bool | None:
        """Change the directory; an unknown one leaves it unknown."""
        self.state.directory = self.state.absolute(words[-1]) if words else ""
        return True

    def shift(self, words: tuple[str, ...]) -> bool | None:
        """Drop positional parameters."""
        self.state.positional = self.state.positional[int(words[0]) if words and words[0].isdecimal() and len(words[0]) < 4 else 1 :]
        return True

    def set_options(self, words: tuple[str, ...]) -> bool | None:
        """Set options, or the positional parameters."""
        if "--" in words:
            self.state.positional = words[words.index("--") + 1 :]
        return True

    def unset(self, words: tuple[str, ...]) -> bool | None:
        """Remove variables."""
        for word in words:
            self.state.variables.pop(word, None)
        return True

    def source(self, words: tuple[str, ...]) -> bool | None:
        """Run a script of the repository in this shell."""
        path = self.state.absolute(words[0]) if words else ""
        script = self.files.read_script(path) if path else None
        if script is None or len(script.data) > _MAX_BYTES or self.depth > _MAX_DEPTH // 2:
            return None
        before, self.file, self.line = (self.file, self.line, self.state.variables.get(SCRIPT_SOURCE, UNKNOWN)), script.name, 1
        self.state.variables[SCRIPT_SOURCE] = path
        try:
            return self._run(parsed_script(script.data).root_node)
        finally:
            self.file, self.line, self.state.variables[SCRIPT_SOURCE] = before

    def read(self, words: tuple[str, ...]) -> bool | None:
        """Set variables to a line that is not known."""
        self.state.variables |= dict.fromkeys(words, UNKNOWN)
        return None

    def exit(self, _words: tuple[str, ...]) -> bool | None:
        """End the script, unless it may not come to this point."""
        if self.doubts:
            return None
        raise _Ended


_BUILTINS: dict[str, Callable[[_Shell, tuple[str, ...]], bool | None]] = {
    "cd": _Shell.cd,
    "pushd": _Shell.cd,
    "shift": _Shell.shift,
    "set": _Shell.set_options,
    "unset": _Shell.unset,
    "source": _Shell.source,
    ".": _Shell.source,
    "exit": _Shell.exit,
    "read": _Shell.read,
    "false": lambda _shell, _words: False,
}
