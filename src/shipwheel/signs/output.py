"""Signs in a program's output of what it lacks: the one place that searches logs for words.

Python's tracebacks, the libraries that many applications use, and the C library's messages are recognised; a line that is not is no sign.
"""

import posixpath
import re
from collections.abc import Callable, Iterator
from enum import Enum

import msgspec

from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.signs.open_calls import opens_to_write

__all__ = [
    "Sign",
    "SignKind",
    "is_debug_page",
    "parsing_server",
    "plain_lines",
    "signs_in",
]


class SignKind(Enum):
    """The kinds of signs."""

    MODULE = "module"
    """A Python module is missing: `subject` is its dotted name."""
    SUBMODULE = "submodule"
    """An installed package asks for a module of its own that is not there: its dotted name."""
    PACKAGE = "package"
    """A Python package is to be installed: its requirement, as a library words it for pip."""
    LIBRARY = "library"
    """A shared library is missing: its file name."""
    PROGRAM = "program"
    """A program is missing: its name."""
    FILE = "file"
    """A file is missing: its path, or a template's name."""
    WRITE = "write"
    """A path cannot be written; empty if the message does not name it."""
    DATABASE = "database"
    """SQLite cannot open its file."""
    VARIABLE = "variable"
    """An environment variable is wanted: its name."""
    COMPANION = "companion"
    """Another server does not answer: `host:port`, or one of the two."""
    TABLE = "table"
    """A database has no such table: its name."""
    USAGE = "usage"
    """The program prints how to use it, or that arguments are missing."""
    HOST = "host"
    """The application refuses the host name of the request."""
    DEVELOPMENT = "development"
    """A development server runs."""
    DEBUG = "debug"
    """A debugger, or the debug mode of a framework, is on."""
    PORT_TAKEN = "port"
    """A port cannot be bound."""
    PRIVILEGED_PORT = "privileged-port"
    """A port below 1024 cannot be bound, as only root may: its number, empty if the message does not name it."""
    TERMINAL = "terminal"
    """The program wants input, or a terminal."""
    LOCALE = "locale"
    """A locale is missing."""
    CRASH = "crash"
    """A worker of a server was killed or ended: the signal, or the status."""
    THREAD = "thread"
    """A thread or task ended with an error, and the program went on: the thread's name."""


class Sign(msgspec.Struct, frozen=True):
    """One sign: `line` is the text that it was seen in, `model` the class of settings whose field it is about."""

    kind: SignKind
    subject: str
    line: str
    model: str = ""


_PORT_OF_CLIENT = (("could not translate host name", "5432"), ("server on '", "3306"), ("server through socket", "3306"))
"""Words of a client's error that names a host alone -> the port that it tries by default."""
_NAME = r"\b[A-Z][A-Z0-9_]++"
_LONG_NAME = r"\b[A-Z][A-Z0-9]*+_[A-Z0-9_]++"
_QUOTE = r"['\"`‘’]"
_LACKS = (
    r"(?:(?:is|was|are|has) (?:not (?:been )?(?:set|provided|given|defined|configured|specified|found)"
    r"|unset|undefined|required|missing|empty)"
    r"|(?:isn't|wasn't|hasn't been) (?:set|provided|given|defined|configured|specified)"
    r"|(?:must|has to|needs to|should) be (?:set|provided|given|defined|configured|specified)"
    r"|(?:is|are) mandatory"
    r"|(?:cannot|can't|must not) be (?:empty|blank|unset|None|null))"
)
_NOT_SET = rf"(?:not (?:been )?(?:set|provided|given|defined|configured|specified|found)|undefined|missing|required|{_LACKS})"
_WANTED = r"(?:[Mm]issing|[Rr]equired?s?|[Uu]nset|[Uu]ndefined|[Nn]o|must set|Please set)"
_SET = r"(?:[Ss]et|[Ss]etting|[Dd]efine|[Pp]rovide|[Ee]xport)"
_ENVIRONMENT = r"[Ee]nv(?:ironment)?[- ][Vv]ar(?:iable)?s?"
_ADDRESS = r"(?<![\w.-])(?P<host>[A-Za-z][\w.-]*+|\d+\.\d+\.\d+\.\d+):(?P<port>\d{2,5})"
_UNREACHED = r"(?:[Cc]onnection refused|Name or service not known|Temporary failure)"
_UNWRITABLE = r"(?:Read-only file system|Permission denied)"
_PROGRAMS = "(?i:ffmpeg|ffprobe|pandoc|tesseract|graphviz|imagemagick|poppler|wkhtmltopdf|libreoffice|ghostscript|exiftool|chromium)"
"""Programs that libraries name in sentences of their own."""

_REQUIREMENT = r"[A-Za-z][\w.-]*+(?:\[[\w,.-]++\])?(?:==[\w.]*\w)?"
_FILE_PATH = r"(?:/[\w./-]+\w|[\w./-]*\w\.[A-Za-z]\w*)"
_OPENED = r"[(\[\"'`]?"
_ABSENT = r"(?:(?:was |is |could )?not (?:be )?found|(?:does not|doesn't) exist|is missing|cannot be (?:found|opened|read))"
# Gunicorn says "Failed to read config file: …" of one that is there and has an error, whose traceback follows.
_CANNOT = r"(?:[Cc]annot|[Cc]an't|[Cc]ould(?: not|n't)|[Ff]ailed to(?! read config file: )|[Uu]nable to)"
_QUOTED_PATH = r"(?:'(/[^']++)'|\"(/[^\"]++)\"|‘(/[^’]++)’)"

_RULES: tuple[tuple[SignKind, str], ...] = (
    (SignKind.MODULE, r"ModuleNotFoundError: No module named '([\w.]+)'"),
    (SignKind.MODULE, r"ImportError: No module named '?([\w.]+)'?$"),
    (SignKind.MODULE, r"^- '([\w.]+)' not found\.$"),
    (SignKind.PACKAGE, rf"pip3? install (?:(?:-U|--upgrade|--user) )?['\"`]?({_REQUIREMENT})(?![\w./=<>~!\[-])"),
    (SignKind.PACKAGE, rf"(?:^|Error: )[`'\"]?({_REQUIREMENT})[`'\"]? (?:must|needs to|has to) be installed\b"),
    (SignKind.PACKAGE, rf"^(?:[\w.]*Error|[\w.]*Exception): (?:.* )?Install ['\"`](?!{_PROGRAMS}\b)({_REQUIREMENT})['\"`] (?:for|to)\b"),
    (SignKind.PACKAGE, r"requires? (?:the )?[`'\"]?([A-Za-z][\w.-]*+\[[\w,.-]++\])[`'\"]? extra"),
    (SignKind.LIBRARY, r"(?:^|: |\()([\w+-][\w+.-]*\.so(?:\.[\w.]+)?): cannot open shared object file"),
    (SignKind.LIBRARY, r"OSError: (?:cannot load library '|no library called \")([\w.+-]++)[\"']"),
    (SignKind.LIBRARY, r"(?:[Ff]ailed|[Uu]nable) to find (?:(lib\w++)|(\w++) shared library)|: (\w++) library not found"),
    (
        SignKind.PROGRAM,
        r"(?:exec: |sh: (?:line )?(?:\d+: )?|env: )['‘]?([\w.+-]++)['’]?: (?:(?:command )?not found|No such file or directory)",
    ),
    (SignKind.PROGRAM, r"Bad (git) executable"),
    (SignKind.PROGRAM, rf"\b({_PROGRAMS}) (?:is not installed|not found|was not found|could not be found)\b"),
    (SignKind.PROGRAM, r"([\w.+-]++) is not installed or it(?:'s| is) not in your PATH"),
    (SignKind.FILE, r"Template(?:NotFound|DoesNotExist): ['\"]?([\w./-]++)"),
    (SignKind.FILE, r"(?:[Dd]irectory|[Ff]ile):? (?:['\"]([\w./-]++)['\"]|(/[\w./-]++)) (?:does not|doesn't) exist"),
    (SignKind.FILE, rf"(?i:file):? {_OPENED}({_FILE_PATH})[)\]\"'`]?,? {_ABSENT}"),
    (SignKind.FILE, rf"(?i:file) {_ABSENT}(?: at| in)?:? {_OPENED}({_FILE_PATH})"),
    (SignKind.FILE, rf"{_CANNOT} (?:find|open|read|load) (?:\w+ ){{0,3}}?(?i:file|config(?:uration)?):? {_OPENED}({_FILE_PATH})"),
    (SignKind.FILE, r"FileNotFoundError: [^'\"\[]*['\"]([\w./-]++)['\"] (?:was |is )?(?:not found|does not exist)"),
    (SignKind.WRITE, rf"(?:{_UNWRITABLE}|EROFS|EACCES)[^'\"‘]*: {_QUOTED_PATH}"),
    (SignKind.WRITE, rf"{_QUOTED_PATH}(?:: | - | )?{_UNWRITABLE}"),
    (SignKind.WRITE, rf"(?<![\w./-])(/[\w./ -]++): {_UNWRITABLE}"),
    (SignKind.WRITE, r"(?:Read-only file system|Permission denied|is not writ(?:e)?able)\W+(?<![\w.])(/[\w./-]++)"),
    (SignKind.WRITE, r"Error: '(/[^']+/)[^'/]+' isn't writable \[FileNotFoundError|Error: '(/[^']+)' isn't writable"),  # gunicorn's logs
    (SignKind.WRITE, r"()readonly database"),
    (SignKind.DATABASE, r"()unable to open database file"),
    (SignKind.WRITE, rf"Error: \[Errno \d+\] {_UNWRITABLE}: ['\"]([^'\"]++)['\"]$"),
    (SignKind.WRITE, r"()OSError: \[Errno 30\] Read-only file system$"),
    (SignKind.VARIABLE, r"UndefinedValueError: (\w+) not found"),
    (SignKind.VARIABLE, rf"ImproperlyConfigured: Set the ({_NAME}) environment variable"),
    (SignKind.VARIABLE, rf"EnvNotSetError: .*{_QUOTE}({_NAME}){_QUOTE} not set|EnvError: .*{_QUOTE}({_NAME}){_QUOTE} not set"),
    (SignKind.VARIABLE, rf"Config {_QUOTE}(\w+){_QUOTE} is missing"),
    (SignKind.VARIABLE, r"The (SECRET_KEY) setting must not be empty"),
    (SignKind.VARIABLE, rf"[Ee]ither {_QUOTE}({_NAME}){_QUOTE} or {_QUOTE}{_NAME}{_QUOTE} must be set"),
    (SignKind.COMPANION, r'connection to server at "(?P<host>[^"]++)"[^,]*+, port (?P<port>\d+) failed(?!: FATAL)'),
    (SignKind.COMPANION, r'connection to server on socket "(?P<host>/[^"]*/)\.s\.PGSQL\.(?P<port>\d+)" failed'),
    (SignKind.COMPANION, r'Unix domain socket "(?P<host>/[^"]*/)\.s\.PGSQL\.(?P<port>\d+)"'),
    (SignKind.COMPANION, r"Can't connect to local (?:MySQL )?server through socket '(?P<host>[^']++)'"),
    (SignKind.COMPANION, r'could not (?:translate host name|connect to server at) "(?P<host>[^"]++)"'),
    (SignKind.COMPANION, r"Error -?\d+ connecting to (?P<host>[\w.-]++):(?P<port>\d+)"),
    (SignKind.COMPANION, r"Can't connect to (?:MySQL )?server on '(?P<host>[^':]++)(?::(?P<port>\d+))?'"),
    (SignKind.COMPANION, r"Connect call failed \('(?P<host>[^']++)', (?P<port>\d+)"),
    (SignKind.COMPANION, r"HTTPS?ConnectionPool\(host='(?P<host>[^']++)', port=(?P<port>\d+)\)"),
    (SignKind.COMPANION, r"Cannot connect to (?:host )?(?:\w+\+?\w*://)?(?:[^@/\s]*+@)?(?P<host>[\w.-]++):(?P<port>\d+)"),
    (SignKind.COMPANION, rf"{_ADDRESS}: \[Errno -?\d+\] {_UNREACHED}"),
    (
        SignKind.COMPANION,
        rf"(?:[Cc]onnection refused|(?:[Ff]ailed|[Uu]nable|[Cc]ould(?: not|n't)) (?:to )?connect)[^\n]*?{_ADDRESS}",
    ),
    (SignKind.COMPANION, r"Unable to bootstrap from \[\('(?P<host>[^']++)', (?P<port>\d+)"),
    (SignKind.COMPANION, rf"://(?:[^@/\s]*+@)?{_ADDRESS}[^\n]*{_UNREACHED}"),
    (SignKind.COMPANION, rf"{_ADDRESS}, Os \{{ code: 111\b"),
    (SignKind.COMPANION, r"onnect[^\n]*? host[ =]['\"]?(?P<host>[\w.-]++)['\"]?,? (?:and |on )?port[ =](?P<port>\d+)"),
    (SignKind.COMPANION, r"()(?:\[Errno 1[01]1\]|ECONNREFUSED|ENETUNREACH|: Network is unreachable|: All connection attempts failed)"),
    (SignKind.COMPANION, r"()(?:gaierror: \[Errno -\d+\]|Temporary failure in name resolution|Name or service not known)"),
    (SignKind.TABLE, r'(?:no such table: |relation ")([\w.]++)'),
    (SignKind.TABLE, r"Table '([\w.]++)' doesn't exist"),
    (SignKind.HOST, r"Invalid HTTP_HOST header: '([^']*)'"),
    (SignKind.HOST, r"()You must set settings.ALLOWED_HOSTS"),
    (SignKind.USAGE, r"^ {0,4}()[Uu]sage:|^()SYNOPSIS$|^()Type '\S+ help <subcommand>' for help"),
    (SignKind.USAGE, r"^(?:[Ee]rror: )?()[Mm]issing required (?:argument|option|parameter|path)\b"),
    (SignKind.DEVELOPMENT, r"()This is a development server|()Starting development server at"),
    (SignKind.DEBUG, r"()Debugger is active|()Debug mode: on|()\bDEBUG = True\b"),
    (SignKind.PRIVILEGED_PORT, r"attempting to bind on address \('[^']*+', (\d{1,3})\b[^\n]*(?:permission denied|Permission denied)"),
    (SignKind.PRIVILEGED_PORT, r"\[ERROR\] Can't connect to \('[^']*+', (\d{2,3})\)"),
    (SignKind.TERMINAL, r"()EOFError: EOF when reading a line|()Inappropriate ioctl for device|()the input device is not a TTY"),
    (SignKind.TERMINAL, r"()setupterm: could not find terminal|()Error opening terminal|()TERM environment variable (?:is )?not set"),
    (SignKind.LOCALE, r"()locale\.Error: unsupported locale setting|()setlocale: LC_ALL: cannot change locale"),
    (SignKind.CRASH, r"[Ww]orker \(pid:\d+\) (?:was sent (SIG(?:KILL|SEGV|ABRT|BUS|ILL|FPE))|exited with code ([1-9]\d*))"),
    (SignKind.THREAD, r"^Exception in thread ([\w() -]+)|()Task exception was never retrieved"),
    (SignKind.PORT_TAKEN, r"()[Aa]ddress already in use"),
)
_SENTENCES = (
    rf"[Ee]ither an? {_ENVIRONMENT} {_QUOTE}?({_NAME})",
    rf"\bor (?:the|an) {_QUOTE}?({_LONG_NAME}){_QUOTE}? {_ENVIRONMENT}",
    rf"[Ee]ither {_QUOTE}?({_NAME}){_QUOTE}? or {_QUOTE}?{_NAME}{_QUOTE}? {_LACKS}",
    rf"[Ee]nvironment variable:? {_QUOTE}?\$?({_NAME}){_QUOTE}? {_NOT_SET}",
    rf"{_WANTED}[^=\n]{{0,40}}? {_ENVIRONMENT}:? {_QUOTE}?\$?({_NAME})",
    rf"({_NAME}){_QUOTE}? {_ENVIRONMENT} {_NOT_SET}",
    rf"{_ENVIRONMENT}:? {_QUOTE}?({_NAME})(?:{_QUOTE}?,?(?: and| or)? {_QUOTE}?{_NAME})++{_QUOTE}? {_LACKS}",
    rf"{_SET} (?:the |an? )?{_QUOTE}?\$?({_NAME}){_QUOTE}?(?:(?:,? or |, |/){_QUOTE}?{_NAME}{_QUOTE}?)*+ {_ENVIRONMENT}",
    rf"({_NAME}){_QUOTE}? {_LACKS}",
    rf"({_LONG_NAME}){_QUOTE}? (?:not set|not defined|not provided|not configured|not found in (?:the )?env\w*)\b",
    rf"[Ee]nvironment (?:variable|value)s? (?:is|are) (?:missing|required|not set|unset)[^:\n]{{0,40}}: {_QUOTE}?({_NAME})",
    rf"[Pp]lease (?:set|configure|define|provide|specify|supply|export|add|give)\b[^=\n.]{{0,40}}? {_QUOTE}?\$?({_LONG_NAME})",
    rf"\b[Mm]issing:? {_QUOTE}?({_LONG_NAME})\b",
    rf"^[\w.]*(?:Error|Exception|Exit): {_QUOTE}?({_NAME}){_QUOTE}? {_NOT_SET}",
    rf"[.!;] Set (?:the )?{_QUOTE}?({_LONG_NAME})\b(?!=\S+ to (?:disable|enable|hide|silence|suppress)\b)",
    rf"\b(?:in|or|by) setting {_QUOTE}?({_LONG_NAME})\b",
    rf"(?:[Mm]issing|required) (?:required )?(?:env\w* )?(?:setting|variable|config\w*|value)s?:? {_QUOTE}?({_NAME})",
)
"""Sentences of people's own about a variable that is not set. They count in lines that are no news, and with names that are no jargon."""

_CLIENTS = tuple(
    (kind, subject, lazy_pattern(pattern))
    for kind, subject, pattern in (
        (SignKind.VARIABLE, "AWS_DEFAULT_REGION", r"NoRegionError: You must specify a region"),
        (SignKind.VARIABLE, "AWS_ACCESS_KEY_ID", r"NoCredentialsError: Unable to locate credentials"),
        (SignKind.VARIABLE, "GOOGLE_APPLICATION_CREDENTIALS", r"DefaultCredentialsError: Your default credentials were not found"),
        (SignKind.VARIABLE, "PINECONE_API_KEY", r"PineconeConfigurationError: You haven't specified an [Aa][Pp][Ii]-?[Kk]ey"),
        (SignKind.VARIABLE, "CHAINLIT_AUTH_SECRET", r"You must provide a JWT secret in the environment to use authentication"),
        (SignKind.PACKAGE, "protobuf<3.21", r"Downgrade the protobuf package to 3\.20"),
        (SignKind.COMPANION, "5672", r"pika\.exceptions\.AMQPConnectionError"),
        (SignKind.COMPANION, "9092", r"kafka\.errors\.NoBrokersAvailable"),
        (SignKind.COMPANION, "4222", r"nats\.errors\.NoServersError"),
    )
)
"""(kind, subject, error of a client library that does not name it)."""
_REFUSED = lazy_pattern(r"\[Errno 1[01]1\]|ECONNREFUSED|gaierror: |Connect call failed \(|All connection attempts failed")
_CLIENT_FRAME = lazy_pattern(r"/site-packages/(asyncpg|aiomysql|asyncmy|redis|aioredis|asyncio_redis|aio_pika|aiormq|aiokafka)/")
_PORTS = {"asyncpg": "5432", "aiomysql": "3306", "asyncmy": "3306", "aio_pika": "5672", "aiormq": "5672", "aiokafka": "9092"}
"""Client whose errors are those of a socket -> the port of its server; the others are Redis's."""
_SERVERS = "uvicorn|gunicorn|hypercorn|daphne|granian|waitress-serve"
_REFUSED_ARGUMENTS = lazy_pattern(rf"^({_SERVERS}): error: (?:unrecognized arguments|the following arguments|argument )", re.MULTILINE)
_SERVER_USAGE = "[APP_MODULE]"
"""A part of gunicorn's own usage text: then it is gunicorn that refuses an argument."""

_COMPILED = tuple((kind, lazy_pattern(pattern)) for kind, pattern in _RULES)
_COMPILED_SENTENCES = tuple(map(lazy_pattern, _SENTENCES))
_NEWS = lazy_pattern(r"(?:^|[\[\s|\"=])(?:INFO|DEBUG|TRACE|SUCCESS|info|debug)(?:[\]\s|\":,/]|$)")
_ESCAPES = lazy_pattern(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)|[\x00-\x08\x0b-\x1f\x7f]")
"""Control sequences of terminals (ECMA-48, 5.4), and control characters."""

_MISSING_FILE = lazy_pattern(
    r"FileNotFoundError: (?:\[Errno 2\] )?No such file or directory: '([^']+)'"
    r"|\[Errno 2\] No such file or directory: '([^'./]*+[./][^']*+)'"
)
"""A program's own words about the error may come before it. A bare name there may be that of a program."""
_NO_TEXT = lazy_pattern(r"TypeError: .*NoneType|AttributeError: 'NoneType'|ValueError: invalid literal for int\(\) with base 10: ''")
_READ_VARIABLE = lazy_pattern(rf"(?:getenv|environ\.get)\(['\"]({_NAME})['\"]\)")
_NO_PERMISSION = lazy_pattern(r"PermissionError: \[Errno 13\] Permission denied$")
_ANY_ADDRESS = lazy_pattern(rf"{_ADDRESS}|\('[^']++', \d+")
_KEY_ERROR = lazy_pattern(rf"KeyError: '({_NAME})'")
_FIELD = lazy_pattern(r" {2}(?:[Ff]ield required|none is not an allowed value|Input should be .*input_value=None\b)")
_EARLIER_FIELD = lazy_pattern(r"(?:values|\.data)\[['\"](\w++)['\"]\]")
"""A field that a validator reads: it is not there if it had no value, or a wrong one."""
_OF_SETTINGS = lazy_pattern(r"pydantic(?:_settings/|/(?:v1/)?env_settings\.py)")
"""A frame of the class that takes its fields from the environment; any other model gets them from the program."""
_ANY_KEY_ERROR = lazy_pattern(r"KeyError: '(\w+)'$")
_ABSENT_SUBMODULE = lazy_pattern(r"ImportError: cannot import name '(\w+)' from '([\w.]+)' \(unknown location\)")
_SANIC_KEY = lazy_pattern(rf"AttributeError: Config has no '({_NAME})'")
_MODEL = lazy_pattern(r"validation errors? for (\w+)")
_JARGON = frozenset("DEBUG INFO WARNING ERROR CRITICAL HTTP HTTPS GET POST JSON URL SQL API TLS SSL ID UUID TERM".split())  # noqa: SIM905
_NEAR = 3
"""Lines of a traceback that show the expression that failed."""
_CONTEXT = 12
"""Lines of a traceback that are read for what an error came from."""
_MAX_FIELDS = 300
"""Lines between the head of pydantic's list of errors and one of them."""
_MAX_LINE = 2000


def plain_lines(log: str) -> list[str]:
    """Return the lines of a program's output, without colours and other control characters; those in a line of JSON, one by one."""
    return [part for line in re.split(r"\r\n|\n|\r", log) for part in _unfolded(_ESCAPES.sub("", line))]


def _unfolded(line: str) -> list[str]:
    """Return the lines of the traceback that a structured log has in one line of JSON."""
    return line.replace('\\"', '"').split("\\n") if line.startswith("{") and "\\n" in line else [line]


def signs_in(log: str) -> tuple[Sign, ...]:
    """Return the signs in a log, each once, in the order of their lines."""
    lines = [line[:_MAX_LINE] for line in plain_lines(log)]
    unique: dict[tuple[SignKind, str], Sign] = {}
    for number, line in enumerate(lines):
        for sign in _signs_of(line, lines[max(0, number - _MAX_FIELDS) : number]):
            unique.setdefault((sign.kind, sign.subject), sign)
    named = {kind for kind, subject in unique if subject}
    return tuple(sign for sign in unique.values() if sign.subject or sign.kind not in named)


def _signs_of(line: str, before: list[str]) -> Iterator[Sign]:
    seen = {SignKind.FILE} if re.search(r":\d+: \w*Warning: ", line) else set()  # A program that is warned goes on without the file.
    for general, pattern in _COMPILED:
        if general not in seen and (match := pattern.search(line)) is not None:
            seen.add(general)
            kind = _of_its_own(general, match, before)
            subject = _address(match) if kind is SignKind.COMPANION else next(filter(None, match.groups()), "")
            subject = posixpath.normpath(subject) if kind is SignKind.FILE else subject
            yield Sign(kind, subject, line.strip())
    if SignKind.VARIABLE not in seen and _NEWS.search(line[:100]) is None:
        names = (match[1] for pattern in _COMPILED_SENTENCES if (match := pattern.search(line)) is not None)
        if (name := next((name for name in names if name not in _JARGON), None)) is not None:
            for each in (name, *_named_with(name, line)):
                yield Sign(SignKind.VARIABLE, each, line.strip())
    for read in _WITH_CONTEXT:
        if (sign := read(line, before)) is not None:
            yield sign


def _named_with(name: str, line: str) -> list[str]:
    """Return the variables that a line lists after this one: `A_TOKEN, B_TOKEN and C_TOKEN`."""
    listed = re.search(rf"\b{name}{_QUOTE}?((?:,? and |, ?){_QUOTE}?{_LONG_NAME}{_QUOTE}?)+", line)
    return re.findall(_LONG_NAME, listed[0])[1:] if listed is not None else []


def _of_its_own(kind: SignKind, match: re.Match[str], before: list[str]) -> SignKind:
    """Return SUBMODULE for a missing module of the package that a traceback's last lines are in."""
    top = f"site-packages/{match[1].partition('.')[0]}/" if kind is SignKind.MODULE and "." in match[1] else "\0"
    return SignKind.SUBMODULE if any(top in each for each in before[-_CONTEXT:]) else kind


def _address(match: re.Match[str]) -> str:
    host, port = map(match.groupdict().get, ("host", "port"))
    default = next((port for words, port in _PORT_OF_CLIENT if words in match[0]), None) if host else None
    return ":".join(filter(None, (host, port or default)))


def _missing_file(line: str, before: list[str]) -> Sign | None:
    """Return the sign of a missing file: a program if `subprocess` was to start it."""
    if (match := _MISSING_FILE.search(line)) is None:
        return None
    started = any("subprocess.py" in each or "_execute_child" in each or "/subprocess" in each for each in before[-_CONTEXT:])
    path = match[1] or match[2]
    folder = posixpath.dirname(path)
    if folder.strip("/") and opens_to_write(before[-_NEAR:]):
        return Sign(SignKind.WRITE, f"{folder}/", line.strip())  # such a file is made: its directory is missing
    return Sign(SignKind.PROGRAM if started and not path.startswith("/app") else SignKind.FILE, path, line.strip())


def _environ_key(line: str, before: list[str]) -> Sign | None:
    """Return the sign of a variable that `os.environ[…]` does not have."""
    match = _KEY_ERROR.search(line)
    if match is None or not any("environ" in each or "<frozen os>" in each or "/os.py" in each for each in before[-_CONTEXT:]):
        return None
    return Sign(SignKind.VARIABLE, match[1], line.strip())


def _field_of_validator(line: str, before: list[str]) -> Sign | None:
    """Return the sign of a field of pydantic's settings that a validator of another field reads, and that has no value."""
    match = _ANY_KEY_ERROR.search(line)
    read = {found[1] for each in before[-_NEAR:] for found in _EARLIER_FIELD.finditer(each)}
    if match is None or match[1] not in read or not any(_OF_SETTINGS.search(each) is not None for each in before[-_MAX_FIELDS:]):
        return None
    return Sign(SignKind.VARIABLE, match[1].upper(), line.strip())


def _sanic_key(line: str, before: list[str]) -> Sign | None:
    """Return the sign of a key that Sanic's configuration lacks: it takes those of the environment that begin with SANIC_."""
    match = _SANIC_KEY.search(line)
    if match is None or not any("/sanic/config.py" in each for each in before[-_CONTEXT:]):
        return None
    return Sign(SignKind.VARIABLE, f"SANIC_{match[1]}", line.strip())


def _settings_field(line: str, before: list[str]) -> Sign | None:
    """Return the sign of a field of pydantic's settings that has neither a default nor a value."""
    if _FIELD.match(line) is None or not before:
        return None
    name = before[-1].strip().split(".")[0]
    head = next((number for number in reversed(range(len(before))) if _MODEL.search(before[number])), len(before) - 1)
    model = match[1] if (match := _MODEL.search(before[head])) is not None else ""
    is_settings = any(_OF_SETTINGS.search(each) is not None for each in before[max(0, head - _CONTEXT) : head])
    if not name.isidentifier() or not (is_settings or re.search("[Ss]ettings|[Cc]onfig|[Ee]nv", model)):
        return None
    return Sign(SignKind.VARIABLE, name.upper(), f"{name}: {line.strip()}", model)


def _absent_variable(line: str, before: list[str]) -> Sign | None:
    """Return the sign of a variable that is not set and was read without a default, in the line that failed."""
    if _NO_TEXT.search(line) is None:
        return None
    match = next((match for each in reversed(before[-_NEAR:]) if (match := _READ_VARIABLE.search(each)) is not None), None)
    return Sign(SignKind.VARIABLE, match[1], line.strip()) if match is not None else None


def _privileged_bind(line: str, before: list[str]) -> Sign | None:
    """Return the sign of a port that only root may bind: the standard library's error does not name it."""
    if _NO_PERMISSION.search(line) is None or not any(".bind(" in each or "in server_bind" in each for each in before[-_CONTEXT:]):
        return None
    return Sign(SignKind.PRIVILEGED_PORT, "", line.strip())


def _refused_postgres(line: str, before: list[str]) -> Sign | None:
    """Return the sign of a PostgreSQL server that refuses.

    psycopg's asynchronous connections name no address, libpq before 14 names it in two lines.
    """
    address = re.search(r'running on host "([^"]+)".*TCP/IP connections on port (\d+)\?', " ".join((*before[-1:], line)))
    if address is not None and address[2] in line:
        return Sign(SignKind.COMPANION, f"{address[1]}:{address[2]}", line.strip())
    match = re.search(r"psycopg2?\.OperationalError: Connection refused", line)
    return Sign(SignKind.COMPANION, "localhost:5432", line.strip()) if match is not None else None


def _of_client(line: str, _: list[str]) -> Sign | None:
    """Return the sign of what a client library wants, by the error that it raises without naming it."""
    kind, subject = next(((kind, subject) for kind, subject, pattern in _CLIENTS if pattern.search(line) is not None), (None, ""))
    return Sign(kind, subject, line.strip()) if kind is not None else None


def _unnamed_server(line: str, before: list[str]) -> Sign | None:
    """Return the sign of a server that refuses, by the client in the traceback, where the error does not name its address."""
    if _REFUSED.search(line) is None or _ANY_ADDRESS.search(line) is not None:
        return None
    clients = (match[1] for each in reversed(before[-_MAX_FIELDS:]) if (match := _CLIENT_FRAME.search(each)) is not None)
    client = next(clients, "")
    return Sign(SignKind.COMPANION, _PORTS.get(client, "6379"), line.strip()) if client else None


def _absent_submodule(line: str, _: list[str]) -> Sign | None:
    """Return the sign of a module that a namespace package lacks, which has no other names."""
    match = _ABSENT_SUBMODULE.search(line)
    return Sign(SignKind.MODULE, f"{match[2]}.{match[1]}", line.strip()) if match is not None else None


_WITH_CONTEXT: tuple[Callable[[str, list[str]], Sign | None], ...] = (
    _missing_file,
    _of_client,
    _absent_submodule,
    _environ_key,
    _field_of_validator,
    _sanic_key,
    _absent_variable,
    _privileged_bind,
    _settings_field,
    _refused_postgres,
    _unnamed_server,
)


def parsing_server(log: str) -> str:
    """Return the server whose arguments a parser of the application refused, which then prints the server's name; empty without one."""
    found = _REFUSED_ARGUMENTS.search(log)
    return found[1] if found and _SERVER_USAGE not in log else ""


def is_debug_page(page: str) -> bool:
    """Return whether the end of an error page says that a framework's debug mode made it."""
    return "DEBUG = True" in page or "Werkzeug Debugger" in page
