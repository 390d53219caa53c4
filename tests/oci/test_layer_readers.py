"""Layers are read whole by programs that stop after the first member of a gzip file."""

import hashlib
import os
import subprocess
import tarfile
import zlib
from pathlib import Path

import pytest
from support.programs import needs

from shipwheel.files.compress import deflated
from shipwheel.files.entry import EntryType, FileEntry, file
from shipwheel.oci.layer import LayerSpec, layer_chunks, make_layer
from shipwheel.store.store import Store
from shipwheel.testing.images import EntriesSource

NAMES = [f"{source}/{number:02}" for source in "ab" for number in range(20)]

RUBY = """
require "zlib"; require "digest"; require "rubygems/package"
data = Zlib::GzipReader.open(ARGV[0]) { |stream| stream.read }
names = Zlib::GzipReader.open(ARGV[0]) { |stream| Gem::Package::TarReader.new(stream).select(&:file?).map(&:full_name) }
puts Digest::SHA256.hexdigest(data), names
"""

PHP = """
$data = gzdecode(file_get_contents($argv[1]));
echo hash("sha256", $data), "\\n";
foreach (str_split($data, 512) as $block)
    if (substr($block, 257, 5) == "ustar" && $block[156] == "0") echo rtrim(substr($block, 0, 100), "\\0"), "\\n";
"""

PERL = """
use IO::Uncompress::Gunzip qw(gunzip); use Digest::SHA qw(sha256_hex); use Archive::Tar;
gunzip $ARGV[0] => \\my $data; print sha256_hex($data), "\\n";
print map { $_->full_path . "\\n" } grep { $_->is_file } Archive::Tar->new($ARGV[0])->get_files;
"""


@pytest.fixture(scope="module")
def layer(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Write a layer of two sources with spliced, small and random files, and return its path and the hash of its tar."""
    root = tmp_path_factory.mktemp("layer")
    store = Store(root / "store")
    entries = [
        FileEntry(name, EntryType.FILE, 0o644, deflated(os.urandom(9000) + bytes(9000))) if number % 2 else file(name, name * 9)
        for number, name in enumerate(NAMES)
    ]
    made = make_layer(LayerSpec("layer", (EntriesSource(tuple(entries[:20])), EntriesSource(tuple(entries[20:])))), store)
    path = root / "layer.tar.gz"
    path.write_bytes(b"".join(layer_chunks(made, store)))
    return path, made.diff_id.removeprefix("sha256:")


def test_the_standard_library_reads_it_as_a_stream(layer: tuple[Path, str]) -> None:
    with tarfile.open(layer[0], mode="r|gz") as archive:
        assert [member.name for member in archive if member.isreg()] == NAMES


def test_zlib_reads_it_in_one_call(layer: tuple[Path, str]) -> None:
    assert hashlib.sha256(zlib.decompress(layer[0].read_bytes(), 31)).hexdigest() == layer[1]


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["ruby", "-e", RUBY], marks=[pytest.mark.engines, needs("ruby")], id="ruby"),
        pytest.param(["php", "-r", PHP, "--"], marks=[pytest.mark.engines, needs("php")], id="php"),
        pytest.param(["perl", "-e", PERL], marks=[pytest.mark.engines, needs("perl")], id="perl"),
    ],
)
def test_other_languages_read_it(layer: tuple[Path, str], command: list[str]) -> None:
    done = subprocess.run([*command, str(layer[0])], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [layer[1], *NAMES], done.stderr
