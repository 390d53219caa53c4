"""The secrets of a stack, as files of this machine that are mounted into its containers."""

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from shipwheel.errors import UsageError
from shipwheel.stack.model import Stack
from shipwheel.user.directories import data_home

__all__ = ["check_variables", "remove_secrets", "secret_file", "secrets_directory", "write_secrets"]


def check_variables(stack: Stack, variables: Iterable[str]) -> None:
    """Raise UsageError that names each variable that the stack takes and that is not set, with the services that take it."""
    known = frozenset(variables)
    missing = {name: services for name, services in stack.variables.items() if name not in known}
    if missing:
        lines = [f"{stack.place}: services.{', '.join(services)}: the variable {name} is not set" for name, services in missing.items()]
        hint = f"Set it, for example export {min(missing)}=…, or name a file with NAME=VALUE lines: --env-file FILE."
        raise UsageError("\n".join(lines), hint=hint)


def secrets_directory(stack: Stack, engine: str) -> Path:
    """Return the directory of this machine for the secrets of a stack in an engine.

    It stays while the stack is up, since containers start again.
    """
    identity = hashlib.sha256(os.fsencode(stack.root)).hexdigest()[:16]
    return data_home(os.environ).absolute() / "shipwheel" / "secrets" / engine / f"{stack.name}-{identity}"


def secret_file(directory: Path, name: str, value: str) -> Path:
    """Return the file for a value of a secret. Another value has another file: containers that run keep theirs."""
    return directory / f"{name}-{hashlib.sha256(value.encode()).hexdigest()[:16]}"


@contextmanager
def write_secrets(directory: Path, values: Mapping[str, str]) -> Iterator[None]:
    """Write a file for each secret; if the block fails, remove those that were not there before.

    Only the user can enter the directory; every user of a container can read the file in there.
    """
    paths = {secret_file(directory, name, value): value for name, value in values.items()}
    made = [path for path in paths if not path.exists()]
    try:
        if made:
            directory.mkdir(parents=True, exist_ok=True)
            directory.chmod(0o700)
        for path in made:
            # Whole or not at all, since the next run takes it as it is.
            part = path.with_suffix(".part")
            part.write_text(paths[path], encoding="utf-8")
            part.chmod(0o444)
            part.replace(path)
        yield
    except BaseException:
        for path in made:
            path.unlink(missing_ok=True)
        with suppress(OSError):
            directory.rmdir()
        raise


def remove_secrets(directory: Path) -> None:
    """Remove the directory with its files, if there is one."""
    shutil.rmtree(directory, ignore_errors=True)
