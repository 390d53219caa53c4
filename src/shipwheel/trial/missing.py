"""The findings about what a program lacks, by the sign in its output: message and next step."""

from shipwheel.signs.output import SignKind
from shipwheel.trial.finding import FindingKind

__all__ = ["MISSING"]

MISSING: dict[SignKind, tuple[FindingKind, str, str]] = {
    SignKind.MODULE: (
        FindingKind.MODULE,
        "the Python module {} is missing",
        "Add {1} to the project's dependencies, or to the setting `dependencies`.",
    ),
    SignKind.PACKAGE: (
        FindingKind.PACKAGE,
        "it wants the Python package {}",
        "Add {0} to the project's dependencies, or to the setting `dependencies`.",
    ),
    SignKind.SUBMODULE: (
        FindingKind.MODULE,
        "the module {} is missing in a package that is there: its version does not fit this Python, or another package",
        "Take a version that fits, an older Python (the setting `python`), or the packages of an earlier day (`as-of`).",
    ),
    SignKind.LIBRARY: (
        FindingKind.LIBRARY,
        "the library {} is missing",
        "Name the Debian package that has {0} in the setting `packages`.",
    ),
    SignKind.PROGRAM: (
        FindingKind.PROGRAM,
        "the program {} is missing",
        "Name the Debian package that has {0} in the setting `packages`.",
    ),
    SignKind.FILE: (
        FindingKind.FILE,
        "the file {} is missing",
        "If it is in the project, add it to the setting `include`, or set `install` for a package; if it holds configuration, mount it.",
    ),
    SignKind.WRITE: (
        FindingKind.NOT_WRITABLE,
        "it cannot write to {}",
        "Name the directory in the setting `state`, with a slash at its end, or point the program at one below /data.",
    ),
    SignKind.DATABASE: (
        FindingKind.NOT_WRITABLE,
        "it cannot open its SQLite database: the directory is missing, or cannot be written",
        "Point the program at a file below a volume such as /data, or name the directory in the setting `state`, with a slash at its end.",
    ),
    SignKind.VARIABLE: (
        FindingKind.VARIABLE,
        "it wants the environment variable {}",
        "Give it a value where the container runs: -e {0}=…; a value that is no secret can be in the setting `env`.",
    ),
    SignKind.COMPANION: (
        FindingKind.COMPANION,
        "it needs {}, which does not answer",
        "Start that server, and point the program at it by its own configuration.",
    ),
    SignKind.PRIVILEGED_PORT: (
        FindingKind.PRIVILEGED_PORT,
        "it cannot listen on a port as a user other than root: {}",
        "Let it listen on a port from 1024 on, such as 8080, and publish that: shipwheel run -p 80:8080. Some engines allow low ports.",
    ),
    SignKind.TERMINAL: (
        FindingKind.TERMINAL,
        "it wants input or a terminal, which a container that serves has not",
        "Let it read its values from the environment or from options. A program for people: shipwheel run --interactive.",
    ),
    SignKind.LOCALE: (
        FindingKind.LOCALE,
        "it wants a locale that the image lacks: there is C.UTF-8 only",
        'Take locale.setlocale out, or format with Babel; packages = ["locales-all"] brings every locale, in 230 MB.',
    ),
    SignKind.TABLE: (
        FindingKind.TABLE,
        "the database has no table {}",
        "Let a step make the tables first: the setting `before-start`.",
    ),
}
"""Kind of sign -> (kind of finding, message, next step); the sign's subject goes into both texts."""
