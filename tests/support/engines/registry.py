"""Debian's docker-registry on a loopback port."""

import re
import shutil
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from support.engines.requirements import SEARCH_PATH
from support.engines.sandbox import RUN, EngineError, log_tail, wait_until

__all__ = ["Registry"]

_CONFIG = """
version: 0.1
log: {{level: info, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: "{root}/storage"}}, delete: {{enabled: true}}}}
http: {{addr: "127.0.0.1:0"}}
"""


class Registry:
    """A docker-registry without TLS on a loopback port that the kernel chooses."""

    def __init__(self, more: str = "") -> None:
        """Start it with additional lines of configuration. It dies with the test run, even if that is killed."""
        self.root = Path(tempfile.mkdtemp(prefix=f"shipwheel-{RUN}-registry-"))
        self._log = self.root / "log"
        config = self.root / "config.yml"
        config.write_text(_CONFIG.format(root=self.root) + more)
        argv = ["setpriv", "--pdeathsig", "KILL", "--", "docker-registry", "serve", str(config)]
        environment = {"PATH": SEARCH_PATH, "HOME": str(self.root), "OTEL_TRACES_EXPORTER": "none"}
        with self._log.open("w") as log:
            self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, cwd=self.root)
        with ExitStack() as undo:
            undo.callback(self.stop)
            wait_until(self._listens, "the start of the registry")
            undo.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _listens(self) -> bool:
        """Return whether the log contains the port."""
        if self._process.poll() is not None:
            raise EngineError(f"docker-registry ended with {self._process.returncode}:\n{log_tail(self._log)}")
        return bool(self._address())

    def _address(self) -> "re.Match[str] | None":
        """Search the log for the address."""
        return re.search(r"listening on (127\.0\.0\.1:\d+)", self._log.read_text("utf-8", "replace"))

    @property
    def host(self) -> str:
        """The registry's part of an image name: 127.0.0.1:PORT."""
        found = self._address()
        assert found
        return found[1]

    @property
    def url(self) -> str:
        """The URL of the registry."""
        return f"http://{self.host}"

    def logs(self) -> str:
        """Return everything that the registry has logged."""
        return self._log.read_text("utf-8", "replace")

    def stop(self) -> None:
        """Stop it and remove what it stored."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self.root)
