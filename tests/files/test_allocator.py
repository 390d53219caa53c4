"""Memory that is kept."""

import subprocess
import sys

PROGRAM = """
import resource, sys
from shipwheel.files.allocator import keep_freed_memory
if sys.argv[1:]:
    keep_freed_memory()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(50):
    buffers = [bytearray(1 << 20) for _ in range(8)]
    buffers.clear()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(*arguments: str) -> int:
    """Return how many pages the kernel hands out for 400 buffers of a megabyte."""
    return int(subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=True).stdout)


def test_the_kernel_hands_out_a_page_once() -> None:
    assert 4 * faults("keep") < faults()
