"""Names and contents of layers in the history of an image."""

import pytest

from shipwheel.oci.layer_text import LayerText, layer_history, layer_texts
from shipwheel.oci.model import ConfigFile, History, RootFS


def config(*history: History) -> ConfigFile:
    return ConfigFile("amd64", "linux", RootFS(()), history=history)


@pytest.mark.parametrize("text", [LayerText("tini 0.19"), LayerText("Debian trixie", ("libc6 2.41", "zlib1g 1:1.3")), LayerText()])
def test_reads_what_it_wrote(text: LayerText) -> None:
    assert layer_texts(config(layer_history(text, "1980-01-02T00:00:00Z")), 1) == (text,)


@pytest.mark.parametrize(
    ("created_by", "name"),
    [
        ("/bin/sh -c #(nop) ADD file:0cc4 in / ", "ADD file:0cc4 in /"),
        ("/bin/sh -c set -eux;   apt-get update", "set -eux; apt-get update"),
        ("RUN /bin/sh -c pip install x # buildkit", "pip install x"),
        ("RUN |2 A=1 B= /bin/sh -c make # buildkit", "make"),
        ("COPY . /app # buildkit", "COPY . /app"),
    ],
)
def test_shortens_the_instructions_of_dockerfiles(created_by: str, name: str) -> None:
    history = (History(created_by=created_by, comment="buildkit.dockerfile.v0"), History(created_by="CMD", empty_layer=True))
    assert layer_texts(config(*history), 1) == (LayerText(name),)


def test_a_history_of_other_layers_names_none() -> None:
    assert layer_texts(config(History(created_by="x")), 2) == (LayerText(), LayerText())
