"""One attempt to build a wheel: PEP 517's hooks in a builder's root, without a network, a home directory or anything of this machine."""

import os
import threading
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from shipwheel.builder.crates import CRATES_INSIDE, use_crates
from shipwheel.builder.portable_compilers import last_complaint, write_portable_compilers
from shipwheel.builder.sandbox_run import SandboxRun
from shipwheel.builder.sandboxes import run_in_sandbox
from shipwheel.builder.surroundings import INSIDE, PORTABLE, Surroundings
from shipwheel.cleanup.scratch import scratch_directory
from shipwheel.locking import uv
from shipwheel.locking.bounds import Bounds
from shipwheel.locking.process import Finished
from shipwheel.platform import DEBIAN_ARCHITECTURES, Platform
from shipwheel.wheels.frontend import HookFailed, checked_requirements, run_backend, write_index_settings
from shipwheel.wheels.kept_requirements import KeptRequirements
from shipwheel.wheels.requirement_pins import merged_pins, pins_of, usable_pins

__all__ = ["BuildRun", "rewrite_scripts"]

_SCRATCH = "tmp"
_HOOK, _EXCHANGE = f"{INSIDE}/hook/call.py", f"{INSIDE}/exchange"
"""The script that calls a hook, and the directory for its arguments and its result. The root may have files where they are outside."""
_OLDEST_GLIBC = 5
_OLD_MANYLINUX = ("manylinux2014", "manylinux2010", "manylinux1")


class BuildRun(msgspec.Struct, frozen=True):
    """A build in `place`, a directory for it alone whose `source` has the source.

    `root` has the builder's packages. `below` is the package's directory in the source. `requires` are build requirements that the source
    does not state; `exclude_newer`, an RFC 3339 instant, limits all of them, and `index_settings` are uv's. `glibc` is the minor version
    of the builder's. Setting `stop` ends the build, and each of its programs has `bounds`. `crates` is a directory of a `CrateFetch`;
    `kept` has requirements for a machine without a network. `pins` are the exact wheels that the lock has for requirements.
    """

    place: Path
    root: Path
    surroundings: Surroundings
    stop: threading.Event
    glibc: int
    below: str = ""
    requires: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    exclude_newer: str | None = None
    index_settings: Mapping[str, Any] = msgspec.field(default_factory=dict)
    bounds: Bounds = msgspec.field(default_factory=Bounds)
    crates: Path | None = None
    kept: KeptRequirements | None = None
    pins: tuple[str, ...] = ()
    installed: list[str] = msgspec.field(default_factory=list)
    """The pins of what was installed so far."""

    def build(self) -> Path:
        """Build the wheel, and return its path.

        Raise HookFailed, OverBounds, BuildError for a broken pyproject.toml, UvFailed without requirements.
        """
        for name in ("out", "home", _SCRATCH):
            (self.place / name).mkdir()
        write_portable_compilers(self.root, self.place)
        self._make_environment()
        for name, text in self.surroundings.backend_files().items():
            (self.place / name).write_text(text, encoding="utf-8")
        source, python = self.place / "source" / self.below, self.place / "venv" / "bin" / "python"
        if self.crates is not None:
            use_crates(source, self.crates)
        settings = self.surroundings.backend_settings(_backend_of(source))
        return run_backend(source, python, self.place / "out", self._run_hook, self._install, self.requires, settings)

    def run(self, command: Sequence[str], directory: str = INSIDE, more: Mapping[str, tuple[Path, bool]] | None = None) -> Finished:
        """Run a program in the sandbox with the build's variables. `more` are further paths in it. Raise OverBounds."""
        readable = ("venv", PORTABLE, *self.surroundings.backend_files())
        binds = {f"{INSIDE}/{name}": (self.place / name, name not in readable) for name in ("source", "out", "home", *readable)}
        if self.crates is not None:
            binds[CRATES_INSIDE] = (self.crates, False)
        variables = self.surroundings.variables()
        confined = SandboxRun(command, self.root, {**binds, **(more or {})}, directory, variables, scratch=self.place / _SCRATCH)
        return run_in_sandbox(confined, stop=self.stop, bounds=self.bounds)

    @property
    def site_packages(self) -> Path:
        """The directory of the build requirements."""
        return self.place / "venv" / "lib" / f"python{self.surroundings.python.minor}" / "site-packages"

    def _make_environment(self) -> None:
        """Make a virtual environment of the builder's Python, which this machine need not be able to start."""
        python, programs = self.surroundings.python, self.place / "venv" / "bin"
        programs.mkdir(parents=True)
        self.site_packages.mkdir(parents=True)
        for name in ("python", "python3", f"python{python.minor}"):
            (programs / name).symlink_to(python.path)
        text = f"home = {python.home}\ninclude-system-site-packages = false\nversion = {python.minor}\n"
        (self.place / "venv" / "pyvenv.cfg").write_text(text)
        if text := self.surroundings.start_up():
            (self.site_packages / "_shipwheel_target.py").write_text(text)
            (self.site_packages / "_shipwheel_target.pth").write_text("import _shipwheel_target\n")

    def _install(self, requirements: Iterable[str]) -> None:
        lines = checked_requirements(requirements)
        if not lines:
            return
        with scratch_directory() as folder:
            listed = folder / "build-requirements.txt"
            _write_lines(listed, lines)
            limits, pins = folder / "constraints.txt", usable_pins(self.pins, lines, self.constraints)
            _write_lines(limits, (*self.constraints, *pins))
            write_index_settings(folder, self.index_settings)
            platform = self._platform(self.surroundings.host)
            minor, limit = self.surroundings.python.minor, self.exclude_newer
            wheels = self._kept_wheels(folder, listed, limits, platform)
            if wheels is None and not pins:
                pins = self._new_pins(listed, limits)
                _write_lines(limits, (*self.constraints, *pins))
            self.installed[:] = merged_pins(self.installed, pins)
            uv.install_for(
                self.site_packages, listed, minor, platform, limit, constraints=limits, cwd=folder, stop=self.stop, wheels=wheels
            )
        rewrite_scripts(self.site_packages / "bin", f"{INSIDE}/venv/bin/python")

    def _new_pins(self, listed: Path, limits: Path) -> tuple[str, ...]:
        """Return the pins of a list of requirements, for machines of both kinds: the other one is to compile with the same."""
        host, minor = self.surroundings.host, self.surroundings.python.minor
        found = [uv.list_wheels(uv.foreign_python(minor, self._platform(host), limits), listed, self.exclude_newer)]
        _write_lines(limits, (*self.constraints, *(pin.partition(" ")[0] for pin in pins_of(*found))))
        for other in (Platform("linux", each) for each in DEBIAN_ARCHITECTURES if each != host.architecture):
            with suppress(uv.UvFailed):
                found.append(uv.list_wheels(uv.foreign_python(minor, self._platform(other), limits), listed, self.exclude_newer))
        return pins_of(*found)

    def _platform(self, machine: Platform) -> str:
        return f"{machine.machine}-manylinux_2_{min(self.glibc, 40)}"

    def _kept_wheels(self, folder: Path, listed: Path, limits: Path, platform: str) -> Path | None:
        """Return a directory with the kept wheels of a list of requirements, None if they are not kept."""
        if self.kept is None:
            return None
        python = uv.foreign_python(self.surroundings.python.minor, platform, limits)
        settings = {**self.index_settings, "python-platform": platform, "constraints": [*self.constraints]}
        machine = self.surroundings.host.machine
        tags = [*(f"manylinux_2_{minor}_{machine}" for minor in range(self.glibc, _OLDEST_GLIBC - 1, -1)), f"linux_{machine}"]
        found = self.kept.find(listed, python, self.exclude_newer, settings, [*tags, *(f"{old}_{machine}" for old in _OLD_MANYLINUX)])
        if not found:
            return None
        self.kept.write(found, folder / "wheels")
        return folder / "wheels"

    def _run_hook(self, cmd: Sequence[str], cwd: str | None = None, extra_environ: Mapping[str, str] | None = None) -> None:
        python, script, hook, exchange = cmd
        arguments = Path(exchange) / "input.json"
        arguments.write_text(self._inside(arguments.read_text(encoding="utf-8")), encoding="utf-8")
        more = {_HOOK: (Path(script), False), _EXCHANGE: (Path(exchange), True)}
        added = [f"{name}={self._inside(value)}" for name, value in (extra_environ or {}).items()]
        command = ["env", *added, self._inside(python), _HOOK, hook, _EXCHANGE]
        finished = self.run(command, self._inside(cwd or str(self.place / "source" / self.below)), more)
        if finished.code != 0:
            raise HookFailed(f"its backend failed in {hook}", f"{finished.stdout}\n{finished.stderr}", last_complaint(self.place))

    def _inside(self, text: str) -> str:
        return text.replace(str(self.place), INSIDE)


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _backend_of(source: Path) -> str:
    """Return the name of a source's build backend; empty if its pyproject.toml names none, or is broken, which its build reports."""
    try:
        tables = tomllib.loads((source / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    system = tables.get("build-system")
    return str(system.get("build-backend", "")) if isinstance(system, dict) else ""


def rewrite_scripts(folder: Path, python: str) -> None:
    """Make scripts start the environment's Python: uv names the one that it runs with."""
    for path in folder.iterdir() if folder.is_dir() else ():
        first, _, rest = path.read_bytes().partition(b"\n") if path.is_file() else (b"", b"", b"")
        if first.startswith(b"#!") and b"python" in first:
            mode = path.stat().st_mode
            # It may be a link to the file in uv's cache.
            path.unlink()
            path.write_bytes(b"#!" + os.fsencode(python) + b"\n" + rest)
            path.chmod(mode)
