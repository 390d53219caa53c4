"""checkov, which knows what manifests should say, in an environment of its own."""

import json
import subprocess
from pathlib import Path

from uv import find_uv_bin

__all__ = ["findings"]

_VERSION = "3.3.30"
_PROGRAM = """
import json, sys
from checkov.kubernetes.runner import Runner
from checkov.runner_filter import RunnerFilter
report = Runner().run(root_folder=sys.argv[1], runner_filter=RunnerFilter(framework=["kubernetes"]))
failed = [(it.check_id, it.resource) for it in report.failed_checks]
print(json.dumps({"failed": failed, "passed": len(report.passed_checks), "unread": report.parsing_errors}))
"""
"""Its command line asks a server for more than half of its time, and imports what scans other files."""


def findings(folder: Path) -> set[tuple[str, str]]:
    """Return what all checks for Kubernetes find in the manifests of a directory: check, KIND.NAMESPACE.NAME."""
    words = ["tool", "run", "--quiet", "--from", f"checkov=={_VERSION}", "python", "-I", "-c", _PROGRAM, str(folder)]
    done = subprocess.run([find_uv_bin(), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["passed"]
    assert not found["unread"]
    return {(check, resource) for check, resource in found["failed"]}
