"""The secrets of a stack, as files of this machine that are mounted into its containers."""

import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from shipwheel.errors import UsageError
from shipwheel.stack.model import Stack
from shipwheel.user_dirs import data_home

__all__ = ["check_variables", "remove_secrets", "secrets_directory", "write_secrets"]


def check_variables(stack: Stack, variables: Iterable[str]) -> None:
    """Raise UsageError that names each variable that the stack takes and that is not set, with the services that take it."""
    known = frozenset(variables)
    missing = {name: services for name, services in stack.variables.items() if name not in known}
    if missing:
        lines = [f"{stack.place}: services.{', '.join(services)}: the variable {name} is not set" for name, services in missing.items()]
        hint = f"Set it, for example export {min(missing)}=…, or name a file with NAME=VALUE lines: --env-file FILE."
        raise UsageError("\n".join(lines), hint=hint)


def secrets_directory(stack: Stack) -> Path:
    """Return the directory of this machine for the stack's secrets. It stays while the stack is up, since containers start again."""
    return data_home(os.environ).absolute() / "shipwheel" / "secrets" / stack.name


def write_secrets(directory: Path, values: Mapping[str, str]) -> None:
    """Write a file for each secret. Only the user can enter the directory; every user of a container can read the file in there."""
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o700)
    for name, value in values.items():
        path = directory / name
        path.touch(mode=0o600)
        path.chmod(0o600)
        path.write_text(value, encoding="utf-8")
        path.chmod(0o444)


def remove_secrets(directory: Path) -> None:
    """Remove the directory with its files, if there is one."""
    shutil.rmtree(directory, ignore_errors=True)
