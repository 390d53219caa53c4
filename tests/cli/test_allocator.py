"""The memory that a process keeps of what it has freed."""

import subprocess
import sys

import pytest

CODE = """
import sys
from shipwheel.cli.allocator import give_memory_back

def resident():
    with open("/proc/self/statm") as stream:
        return int(stream.read().split()[1]) * 4096

if sys.argv[1] == "yes":
    give_memory_back()
# Freed at once: from now on, smaller blocks come from the heap.
bytearray(8 << 20)
before = resident()
# Each second block stays, so that nothing is at the end of the heap.
blocks = [bytearray(b"x") * (size << 20) for size in (4, 1) * 32]
del blocks[::2]
print(resident() - before - (32 << 20))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a setting of glibc")
def test_blocks_that_were_freed_go_back_to_the_system() -> None:
    kept, given = (
        int(subprocess.run([sys.executable, "-c", CODE, word], capture_output=True, text=True, check=True).stdout) for word in ("no", "yes")
    )
    assert given < 16 << 20
    assert kept > given
