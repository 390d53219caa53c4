"""The secrets in a project's files: which file is one by its name or content, and which has one in it.

What is a secret as a whole (.env, a private key, a credentials file) stays out of the image. So does a test or a page of documentation
with a token in it, which no app needs to run. A token in any other file is the app's own code or configuration: it stops the build.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec

from shipwheel.errors import ProjectError
from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.project.gitignore import gitignore_spec
from shipwheel.project.secret_tokens import FoundToken, find_tokens
from shipwheel.settings.settings import Settings

__all__ = ["MAX_READ_BYTES", "FileSecrets", "SecretRules", "secret_rules", "token_error"]

MAX_READ_BYTES = 32 << 20
"""How much of a file is read to look for secrets."""

_DIRECTORIES = frozenset(
    (
        ".env",
        ".envs",
        ".aws",
        ".ssh",
        ".gnupg",
        ".kube",
        ".azure",
        ".gcloud",
        ".oci",
        ".terraform",
        ".password-store",
        ".snowsql",
        ".kaggle",
    )
)
_NAMES = frozenset(
    """
    .envrc .dev.vars .secret .secrets .netrc _netrc .pypirc .pgpass pgpass.conf .my.cnf .mylogin.cnf .git-credentials .htpasswd .sesskey
    .dockercfg .dockerconfigjson .s3cfg .boto .passwd-s3fs rclone.conf .rclone.conf .databrickscfg .snowflake .terraformrc terraform.rc
    credentials.tfrc.json terraform.tfstate .vault-token .vault_pass .vault-pass .vault_password vault_pass.txt kubeconfig
    application_default_credentials.json access_tokens.db accesstokens.json azureprofile.json local.settings.json kaggle.json
    sftp-config.json .ftpconfig .remote-sync.json filezilla.xml sitemanager.xml master.key secring.gpg
    id_rsa id_dsa id_ecdsa id_ed25519 id_ecdsa_sk id_ed25519_sk
    .bash_history .zsh_history .python_history .psql_history .mysql_history .sqlite_history .rediscli_history .node_repl_history
    secrets.yml secrets.yaml secrets.json secrets.toml secrets.ini secrets.cfg secrets.conf secrets.properties
    .secrets.yml .secrets.yaml .secrets.json .secrets.toml secret.yml secret.yaml secret.json secret.toml
    """.split()  # noqa: SIM905
)
_PATTERNS = lazy_pattern(
    r"\.env([._-].*)?|.*\.env|env\.(local|prod|production|staging)|"
    r".*\.(tfstate|tfstate\.backup|tfstate\.\d+\.backup|tfvars|tfvars\.json|kubeconfig|publishsettings|"
    r"p12|pfx|pkcs12|jks|jceks|bks|keystore|ppk|kdb|kdbx|keytab|agekey|psafe3)|"
    r"gha-creds-[0-9a-f]+\.json|.*accesskeys\.csv"
)
_PATHS = lazy_pattern(
    r"(.*/)?(\.streamlit/secrets\.toml|\.config/(gcloud|gh|doctl|op|rclone|hub)/.*|\.cargo/credentials(\.toml)?|\.gem/credentials|"
    r"\.composer/auth\.json|\.dbt/profiles\.yml|(gcloud|google-cloud-sdk)/(legacy_credentials/.*|credentials\.db)|"
    r"config/credentials/[^/]+\.key)"
)
_EXAMPLE = lazy_pattern(r"(^|[._-])(examples?|samples?|templates?|tmpl|tpl|dist|defaults?|dummy|placeholder)([._-]|$)")
"""Parts of the names of files that show the form without the values."""
_CONTENTS: tuple[tuple[re.Pattern[str], re.Pattern[bytes]], ...] = (
    (lazy_pattern(r"\.npmrc|\.yarnrc(\.yml)?|\.pnpmrc"), lazy_pattern(rb"_auth|authToken|_password|npmAuth(Token|Ident)", re.IGNORECASE)),
    (
        lazy_pattern(r"client_?secrets?.*\.json|(.*[._-])?credentials?([._-].*)?\.json|token\.json|authorized_user\.json"),
        lazy_pattern(rb"\"(client_secret|refresh_token|private_key|access_token|secret_access_key)\"\s*:\s*\"[^\"\s]{8,}\"", re.IGNORECASE),
    ),
    (lazy_pattern(r"token\.pickle|token\.pkl|credentials\.pickle"), lazy_pattern(rb"refresh_token")),
    (lazy_pattern(r"(.*[._-])?credentials"), lazy_pattern(rb"aws_secret_access_key")),
    (lazy_pattern(r"(auth|config)\.json"), lazy_pattern(rb"\"(auths|http-basic|github-oauth)\"\s*:\s*\{")),
    (lazy_pattern(r".*\.ovpn|.*\.conf"), lazy_pattern(rb"^[ \t]*<(key|tls-auth|tls-crypt|secret)>|^[ \t]*PrivateKey[ \t]*=", re.MULTILINE)),
)
"""Names of which only the content tells whether the file is a secret."""

_KEY_SUFFIXES = (".pem", ".key", ".p8", ".pk8", ".crt", ".cer", ".asc", ".gpg", ".json")
"""Files that may hold a private key anywhere, not only at their start."""
_KEY = lazy_pattern(rb"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY( BLOCK)?-----")
_KEY_AT_START = lazy_pattern(
    rb"\s*(\xef\xbb\xbf)?(-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY( BLOCK)?-----|PuTTY-User-Key-File-|AGE-SECRET-KEY-1)"
)
_MIN_KEY_BYTES = 21
_MAX_KEY_FILE_BYTES = 1 << 20
_PACKAGING_FILE = lazy_pattern(r"(pyproject|uv|pdm|poetry)\.toml|pip\.(conf|ini)|Pipfile|setup\.cfg|.*(require|constraint).*\.(txt|in)")
"""Files that may name a package index."""
_PASSWORD = lazy_pattern(rb"https?://[^\s/@:\"'#]*:(?!\$\{?\w+\}?@)[^\s/@\"'#]+@[^\s\"']+")
"""A URL with a password, unless that is a variable."""
_INDEX_LINE = lazy_pattern(rb"^[ \t]*(-i|-f|--(extra-)?index-url|--find-links)[\s=]", re.MULTILINE)
"""The line of a requirements file under any name."""

_NOT_NEEDED = lazy_pattern(
    r"(.*/)?((tests?|testing|testdata|test_data|fixtures|cassettes|__tests__|specs?|docs?|examples?)/.*|"
    r"test_[^/]*|[^/]*_test\.py|tests\.py|conftest\.py|[^/]*\.(md|rst|adoc))",
    re.IGNORECASE,
)
"""Tests and documentation: a token there is mostly made up."""
_MAX_REPORTED = 10


class FileSecrets(msgspec.Struct, frozen=True):
    """The secrets in one file.

    `left_out` says why the file stays out of the image, empty if it does not; `tokens` are those that stop the build.
    """

    left_out: str = ""
    tokens: tuple[FoundToken, ...] = ()


_NONE = FileSecrets()


class SecretRules:
    """Decides which files of a project are secrets. `allowed` are patterns, as in .gitignore, of files that the user means to ship."""

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        patterns = tuple(allowed)
        self._allowed = gitignore_spec(patterns, "allow-secrets") if patterns else None

    def allows(self, path: str) -> bool:
        """Return whether the user means to ship a file or, with a slash at the end, a directory."""
        return self._allowed is not None and self._allowed.match_file(path)

    def is_secret_by_name(self, path: str) -> bool:
        """Return whether the name says that a file or, with a slash at the end, a directory is a secret: .env, id_rsa, .aws/."""
        if self.allows(path):
            return False
        *directories, name = path.lower().split("/")
        if name in _NAMES or not _DIRECTORIES.isdisjoint(directories) or _PATHS.fullmatch(path.lower()):
            return True
        return _PATTERNS.fullmatch(name) is not None and _EXAMPLE.search(name) is None

    def inspect(self, path: str, size: int, read: Callable[[], bytes]) -> FileSecrets:
        """Return the secrets in a file.

        `size` is in bytes; `read` returns the first MAX_READ_BYTES of the content.
        """
        if self.is_secret_by_name(path):
            return FileSecrets(left_out=path)
        if size < _MIN_KEY_BYTES or self.allows(path):
            return _NONE
        data = read()
        if _is_secret_by_content(path, data):
            return FileSecrets(left_out=path)
        tokens = tuple(find_tokens(path, data))
        if tokens and (_NOT_NEEDED.fullmatch(path) or _EXAMPLE.search(path.rpartition("/")[2].lower())):
            return FileSecrets(left_out=f"{path} (line {tokens[0].line}: {tokens[0].kind})")
        return FileSecrets(tokens=tokens) if tokens else _NONE


def secret_rules(settings: Settings) -> SecretRules:
    """Return the rules for the files of a project with these settings."""
    return SecretRules(secret.path for secret in settings.allow_secrets)


def token_error(tokens: Sequence[FoundToken]) -> ProjectError:
    """Return the error for tokens in files that would get into an image."""
    lines = "".join(f"\n  {token.label}" for token in tokens[:_MAX_REPORTED])
    more = f"\n  and {len(tokens) - _MAX_REPORTED} more" if len(tokens) > _MAX_REPORTED else ""
    path = tokens[0].path
    return ProjectError(
        f"secrets would get into the image:{lines}{more}",
        hint="Remove them, and let the app read them when the container starts: from its environment or a volume. A file that the app does "
        f'not need can be left out: exclude = ["{path}"]. If everyone may read it: allow-secrets = [{{path = "{path}", reason = "…"}}].',
    )


def _may_name_index(path: str, data: bytes) -> bool:
    if _PACKAGING_FILE.fullmatch(path) or _PACKAGING_FILE.fullmatch(Path(path).name):
        return True
    return path.endswith((".txt", ".in")) and _INDEX_LINE.search(data) is not None


def _is_secret_by_content(path: str, data: bytes) -> bool:
    name = path.rpartition("/")[2].lower()
    if _KEY_AT_START.match(data) or (name.endswith(_KEY_SUFFIXES) and _KEY.search(data, 0, _MAX_KEY_FILE_BYTES)):
        return True
    if len(data) <= _MAX_KEY_FILE_BYTES and _may_name_index(path, data) and _PASSWORD.search(data):
        return True
    return any(names.fullmatch(name) and content.search(data) for names, content in _CONTENTS if not _EXAMPLE.search(name))
