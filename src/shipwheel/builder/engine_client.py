"""The commands of docker and podman that a sandbox needs. Files travel as tar streams, so the engine may be on another machine."""

import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import IO

import msgspec

from shipwheel.container.variables import container_variables
from shipwheel.errors import BuildError

__all__ = ["SANDBOX_LABEL", "BuildContainer", "EngineClient", "create_words"]

_HINT = "Check that `{name} info` works, and has room for images. SHIPWHEEL_SANDBOX names another sandbox: bwrap, docker or podman."
SANDBOX_LABEL = "io.shipwheel.sandbox"
"""The label of containers that run a part of a build."""
_HOST = "build"
"""The name of the host, which some builds write into what they make."""
_MAX_PROCESSES = 4096


class BuildContainer(msgspec.Struct, frozen=True):
    """A container for one run: a new name, an image of the engine, a command, its environment, and what it may do.

    `user` are the numbers of a user and a group.
    """

    name: str
    image: str
    command: Sequence[str]
    user: tuple[int, int]
    directory: str
    variables: Mapping[str, str]
    network: bool = False


def create_words(program: str, options: BuildContainer) -> tuple[list[str], dict[str, str]]:
    """Return the command that makes a container, and its environment.

    The image's files belong to root, and the program is another user without capabilities: it can change only what it is given.
    """
    environment, variables = container_variables(options.variables)
    uid, gid = options.user
    words = [program, "create", "--pull=never", f"--name={options.name}", f"--label={SANDBOX_LABEL}=1"]
    words += [f"--network={'host' if options.network else 'none'}"]
    words += ["--cap-drop=ALL", "--security-opt=no-new-privileges", "--stop-timeout=0"]
    words += ["--log-driver=none", f"--user={uid}:{gid}", f"--workdir={options.directory}"]
    # podman has a limit of its own, and ends if the system lets it set none.
    words += [f"--pids-limit={_MAX_PROCESSES}"] if program == "docker" else []
    words += [] if options.network else [f"--hostname={_HOST}"]
    return [*words, *variables, options.image, *options.command], environment


class EngineClient:
    """docker or podman, by the name of its program."""

    def __init__(self, name: str) -> None:
        self.name = name

    def call(self, *words: str, timeout: float | None = None) -> str:
        """Return what a command prints. Raise BuildError if it fails, or takes longer than some seconds."""
        return self._call([self.name, *words], None, timeout)

    def create(self, options: BuildContainer) -> str:
        """Return the ID of a new container."""
        return self._call(*create_words(self.name, options)).strip().splitlines()[-1]

    def succeeds(self, *words: str) -> bool:
        """Return whether a command succeeds."""
        return subprocess.run([self.name, *words], stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0

    def remove(self, container: str) -> None:
        """Remove a container, also one that runs."""
        self.succeeds("rm", "--force", "--volumes", container)

    def send(self, words: Sequence[str], write: Callable[[IO[bytes]], None]) -> None:
        """Run a command that reads what `write` writes. Raise BuildError if it fails."""
        with self._running(words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
            assert process.stdin is not None  # noqa: S101 - it is a pipe
            # The command has failed if it reads no more, and says why.
            with suppress(BrokenPipeError):
                write(process.stdin)
            # Not if `write` failed: the command would take what it got for everything, and an image without its last files.
            with suppress(BrokenPipeError):
                process.stdin.close()

    @contextmanager
    def receive(self, words: Sequence[str]) -> Iterator[IO[bytes]]:
        """Run a command, and yield what it prints. Raise BuildError if it fails."""
        with self._running(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None  # noqa: S101 - it is a pipe
            with process.stdout as stream:
                yield stream
                while stream.read(1 << 20):
                    pass

    @contextmanager
    def _running(self, words: Sequence[str], *, stdin: int, stdout: int) -> Iterator["subprocess.Popen[bytes]"]:
        with tempfile.TemporaryFile() as messages:
            process = subprocess.Popen([self.name, *words], stdin=stdin, stdout=stdout, stderr=messages)
            try:
                yield process
            except BaseException:
                process.kill()
                raise
            finally:
                status = process.wait()
                if process.stdin is not None:
                    with suppress(BrokenPipeError):
                        process.stdin.close()
            if status != 0:
                messages.seek(0)
                raise self._failed(words[0], messages.read().decode("utf-8", "replace"))

    def _call(self, words: Sequence[str], environment: Mapping[str, str] | None, timeout: float | None = None) -> str:
        try:
            done = subprocess.run(
                words,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                timeout=timeout,
            )
        except subprocess.TimeoutExpired:
            raise self._failed(words[1], f"no answer within {timeout:g} s") from None
        if done.returncode != 0:
            raise self._failed(words[1], done.stderr or done.stdout)
        return done.stdout

    def _failed(self, command: str, output: str) -> BuildError:
        reason = " ".join(output.split()) or "without a message"
        return BuildError(
            f"`{self.name} {command}`, which makes the sandbox of a build, failed: {reason}", hint=_HINT.format(name=self.name)
        )
