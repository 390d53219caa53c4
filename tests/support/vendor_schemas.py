"""Files checked by the schemas that check-jsonschema brings: those of compose files and of pipelines."""

import subprocess
from pathlib import Path

from uv import find_uv_bin

__all__ = ["schema_errors"]

_CHECK = ("tool", "run", "--quiet", "--from", "check-jsonschema==0.39.0", "check-jsonschema")


def schema_errors(file: Path, schema: str, *options: str) -> str:
    """Return how a file breaks a schema of check-jsonschema, such as `gitlab-ci`; empty for a valid one."""
    command = [find_uv_bin(), *_CHECK, "--builtin-schema", f"vendor.{schema}", *options, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr or f"exit status {done.returncode}") if done.returncode else ""
