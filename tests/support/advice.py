"""Advisers for `init` with fixed answers."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from shipwheel.trial.finding import Setting

__all__ = ["FakeAdvisor"]


@dataclass
class FakeAdvisor:
    """An adviser that knows only what it is given."""

    words: tuple[str, ...] = ()
    help: Mapping[tuple[str, ...], str] = field(default_factory=dict)
    own: Collection[str] = ()
    packages: Collection[str] = ()
    debian: Mapping[str, str] = field(default_factory=dict)
    modules: Mapping[str, Setting] = field(default_factory=dict)
    pythons: tuple[str, ...] = ()
    newer: tuple[str, ...] = ()
    dates: tuple[str, ...] = ()
    steps: tuple[tuple[str, ...], ...] = ()
    patterns: Mapping[str, str] = field(default_factory=dict)
    served: tuple[str, ...] = ()
    others: tuple[tuple[str, ...], ...] = ()
    without_list: tuple[str, ...] = ()
    then: Mapping[tuple[str, str], str] = field(default_factory=dict)
    example: tuple[str, Mapping[str, str]] = ("", {})

    def application(self) -> tuple[str, ...]:
        return self.served

    def alternatives(self) -> tuple[tuple[str, ...], ...]:
        return self.others

    def command(self) -> tuple[str, ...]:
        return self.words

    def help_text(self, arguments: tuple[str, ...]) -> str:
        return self.help.get(arguments, "")

    def example_environment(self) -> tuple[str, Mapping[str, str]]:
        return self.example

    def has_module(self, name: str) -> bool:
        return name in self.own

    def has_package(self, requirement: str) -> bool:
        return requirement in self.packages

    def unlisted(self) -> tuple[str, ...]:
        return self.without_list

    def library_package(self, name: str) -> str | None:
        return self.debian.get(name)

    def program_package(self, name: str) -> str | None:
        return self.debian.get(name)

    def package_setting(self, name: str) -> Setting | None:
        return self.modules.get(name)

    def other_pythons(self) -> tuple[str, ...]:
        return self.pythons

    def newer_pythons(self) -> tuple[str, ...]:
        return self.newer

    def days(self) -> tuple[str, ...]:
        return self.dates

    def version_then(self, module: str, user: str) -> str:
        return self.then.get((module, user), "")

    def later_in_series(self, module: str) -> Mapping[str, str]:
        return {module: found} if (found := self.then.get((module, "later"), "")) else {}

    def before_major(self, module: str) -> str:
        return self.then.get((module, ""), "")

    def table_steps(self) -> tuple[tuple[str, ...], ...]:
        return self.steps

    def first_steps(self, path: str) -> tuple[tuple[str, ...], ...]:
        return self.steps if path.startswith("/data/") else ()

    def left_out(self, path: str) -> str:
        return self.patterns.get(path, "")
