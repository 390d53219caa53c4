"""Configs of images whose values try to become options of an engine."""

from hypothesis import strategies as st

from shipwheel.oci.model import ContainerConfig

__all__ = ["configs"]

_PIECES = [
    "\0",
    "--bind",
    "--privileged",
    "-v",
    ":",
    ",",
    "/",
    "..",
    "=",
    "\n",
    "\r",
    " ",
    '"',
    "\\",
    "A",
    "src=/",
    "dst=/host",
    "options=rw",
]
_PIECES += ["0", "1000", "80", "/tcp", "SIGTERM", "²", "٣", "%s", "$HOME", "{}", "type=bind"]
_TEXTS = st.one_of(st.lists(st.sampled_from(_PIECES), max_size=6).map("".join), st.text(max_size=8))
_PATHS = st.one_of(_TEXTS, _TEXTS.map(lambda text: f"/{text}"))


def _mostly(usual: str, hostile: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(*[st.just(usual)] * 4, hostile)


def configs() -> st.SearchStrategy[ContainerConfig]:
    """Make configs of which each value may be hostile, and most values are not."""
    words = st.lists(_mostly("run", _TEXTS), max_size=2).map(tuple)
    return st.builds(
        ContainerConfig,
        user=_mostly("1:1", _TEXTS),
        exposed_ports=st.dictionaries(_mostly("80/tcp", _TEXTS), st.just({}), max_size=1),
        env=st.lists(_mostly("A=b", _TEXTS.map(lambda text: f"A={text}")), max_size=2).map(tuple),
        entrypoint=words,
        cmd=words,
        volumes=st.dictionaries(_mostly("/data", _PATHS), st.just({}), max_size=2),
        working_dir=_mostly("/app", _PATHS),
        stop_signal=_mostly("SIGINT", _TEXTS),
    )
