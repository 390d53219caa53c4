"""Facts of a project's source that a trial can use: an image alone does not tell."""

import msgspec

__all__ = ["HostRule", "Refusal", "SourceFacts"]


class HostRule(msgspec.Struct, frozen=True):
    """A list of the host names that the app serves.

    `place` is its file and line, `name` what it is assigned to, `hosts` the names that it has as text, `variables` the environment
    variables that it comes from. `is_json` tells that a variable has the list as JSON.
    """

    place: str
    name: str
    hosts: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    is_json: bool = False

    @property
    def option(self) -> str:
        """The option of a container that names a host of one's own in the first of the variables."""
        return f"-e {self.variables[0]}=" + ("'[\"shop.example\"]'" if self.is_json else "shop.example")


class Refusal(msgspec.Struct, frozen=True):
    """A sentence with which the code refuses to go on, its file and line, and the files and variables that the code there looks for."""

    sentence: str
    place: str
    read: tuple[str, ...]


class SourceFacts(msgspec.Struct, frozen=True):
    """The facts.

    `addresses` are (file and line, address or host) of configuration files that name what a server listens on, `unmade` (path, the command
    line that makes it, file and line) of what the image lacks because the project has not made it. `unpackaged` are data files of the
    project's packages that its wheel lacks, by their paths in a wheel. `prefixes` are (class of settings, prefix of its variables).
    `examples` are (path of a file that the project has not, path of the example that it is made from).
    `made` are (command line, file and line) of what a Dockerfile runs while its image is built, which no build of ours does.
    `variables` are (name in the code, environment variable, file and line) of what is read from the environment without a default.
    `modules` are (import name, directory in the image) of the project's packages and files in sub-directories.
    `serving` is a clause that says why the project is a server, although its command has no port; empty if nothing does.
    `guess` is the sentence that says why this script is the command, if nothing names it but its own name or place; empty otherwise.
    `dialogue` says what the project is if it may be spoken to over its standard input, "a server of …"; empty otherwise.
    `companions` are servers that the project's deployment starts beside it.
    `packaged` are the import names of what the project's own wheel has, `packages` those of the project's packages, dotted.
    `ignored` are the files of code and configuration that .gitignore names and the project has not.
    `withheld` are (environment variable, file and line) of what a deployment file sets and the image has not.
    `pages` are paths that its routes name, without parameters.
    `passed_over` are (path, file and line) of files that the code reads only if they are there, and the project has not.
    `installed` are the normalized names of the Python packages in the image.
    `http_server` is the command's program if it answers whatever it is asked over HTTP, empty for another.
    `fixed` are (host, port, file and line) of servers whose addresses the code has as they are; an empty port stands for any.
    `defaults` are (environment variable, host, port, file and line) of servers whose addresses come from variables, and are these without.
    `beside` are the project's files and directories if the image has its wheel alone, relative to the project's directory.
    """

    hosts: tuple[HostRule, ...] = ()
    addresses: tuple[tuple[str, str], ...] = ()
    unmade: tuple[tuple[str, str, str], ...] = ()
    unpackaged: tuple[str, ...] = ()
    prefixes: tuple[tuple[str, str], ...] = ()
    serving: str = ""
    examples: tuple[tuple[str, str], ...] = ()
    made: tuple[tuple[str, str], ...] = ()
    variables: tuple[tuple[str, str, str], ...] = ()
    modules: tuple[tuple[str, str], ...] = ()
    guess: str = ""
    companions: tuple[str, ...] = ()
    dialogue: str = ""
    beside: frozenset[str] = frozenset()
    refusals: tuple[Refusal, ...] = ()
    packaged: frozenset[str] = frozenset()
    packages: frozenset[str] = frozenset()
    ignored: tuple[str, ...] = ()
    withheld: tuple[tuple[str, str], ...] = ()
    pages: tuple[str, ...] = ()
    passed_over: tuple[tuple[str, str], ...] = ()
    installed: frozenset[str] = frozenset()
    http_server: str = ""
    fixed: tuple[tuple[str, str, str], ...] = ()
    defaults: tuple[tuple[str, str, str, str], ...] = ()

    @property
    def host_names(self) -> tuple[str, ...]:
        """A name for each entry of the lists, without wildcards."""
        return tuple(dict.fromkeys(name.lstrip("*.") for rule in self.hosts for name in rule.hosts if name.lstrip("*.")))
