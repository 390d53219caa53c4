"""A program of the project that listens on the loopback interface by default gets the option that opens its address, if that is clear."""

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from shipwheel.project.entrypoint.evidence import Evidence
from shipwheel.project.entrypoint.launch import Launch, loopback_note, started_modules
from shipwheel.project.entrypoint.listen_options import ListenOptions
from shipwheel.project.entrypoint.module import Module
from shipwheel.project.entrypoint.servers import EVERY_ADDRESS

__all__ = ["with_open_address"]


def with_open_address(launch: Launch, evidence: Evidence, modules: Sequence[Module]) -> Launch:
    """Return the launch with the option, or else with a note that names it; unchanged if its server listens elsewhere, or it has none.

    The user's own command stays as it is.
    """
    words = (*launch.command, *launch.arguments)
    runs_own_code = launch.command[0] == "python" or launch.command[0] in evidence.scripts
    reached = started_modules(launch, evidence.scripts, modules) if runs_own_code else ()
    if not any(module.serves for module in reached):
        return launch
    found = list(_options(reached, words))
    if not found or any(options.option in {word.partition("=")[0] for word in words} for _, options in found):
        return launch
    module, options = found[0]
    clear = len({each.option for _, each in found}) == 1 and options.subcommand is not None
    by_user = bool(evidence.settings.command or evidence.settings.entrypoint)
    ports = launch.ports or ((f"{options.port}/tcp",) if options.port else ())
    what = f"{module.file} starts a server that listens on {options.default} unless {options.option} says otherwise"
    if not clear or by_user:
        note = f"{what}, which cannot be reached from outside the container: set the command with {options.option} {EVERY_ADDRESS}."
        return replace(launch, notes=(*launch.notes, note))
    others = (note for note in launch.notes if note != loopback_note(module))
    notes = (*others, f"{what}: the image's command does.")
    return replace(launch, command=(*words, *_opened(options.option)), arguments=(), is_program=False, ports=ports, notes=notes)


def _opened(option: str) -> tuple[str, ...]:
    """Return the words of a command that open the address: Tornado's parser takes a value only in the word of its option."""
    return (f"{option}={EVERY_ADDRESS}",) if option.startswith("--") else (option, EVERY_ADDRESS)


def _options(modules: Sequence[Module], words: Sequence[str]) -> Iterator[tuple[Module, ListenOptions]]:
    """Yield the options that the command's subcommand has, or that may be its own."""
    for module in modules:
        for options in module.listen_options:
            if not options.subcommand or options.subcommand in words[1:]:
                yield module, options
