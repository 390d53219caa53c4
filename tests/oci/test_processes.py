"""The processes of an image, in its labels."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipwheel.errors import UsageError
from shipwheel.oci.execution import ExecutionConfig
from shipwheel.oci.processes import LABEL_HEALTH, LABEL_PROCESSES, process_command, processes_label, read_health_path, read_processes

PROCESSES = {"web": ("gunicorn", "a:b"), "worker": ("celery", "-A", "a", "worker")}


def test_a_label_keeps_the_commands() -> None:
    assert read_processes(processes_label(PROCESSES)) == PROCESSES
    assert processes_label({}) == {}


def test_a_process_starts_behind_the_init_and_without_the_steps_of_the_web_server() -> None:
    config = ExecutionConfig(entrypoint=("/usr/bin/tini", "--", "python", "launcher.py"), labels=processes_label(PROCESSES))
    assert process_command(config, "worker", "shop") == ("/usr/bin/tini", "--", "celery", "-A", "a", "worker")
    assert process_command(config, "web", "shop") is None
    config = ExecutionConfig(entrypoint=(), labels=processes_label(PROCESSES))
    assert process_command(config, "worker", "shop") == PROCESSES["worker"]


def test_an_unknown_process_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="shop has no process beat") as caught:
        process_command(ExecutionConfig(labels=processes_label(PROCESSES)), "beat", "shop")
    assert "web, worker" in caught.value.hint
    with pytest.raises(UsageError) as caught:
        process_command(ExecutionConfig(), "beat", "shop")
    assert "[tool.shipwheel.processes]" in caught.value.hint


@given(st.text() | st.sampled_from(["[]", '{"a": []}', '{"a": "b"}', '{"a": [""]}', '{"a": ["\\u0000"]}', "null"]))
def test_any_label_has_processes_that_can_start_or_none(text: str) -> None:
    assert all(words and words[0] for words in read_processes({LABEL_PROCESSES: text}).values())


def test_a_health_path_is_a_path() -> None:
    assert read_health_path({LABEL_HEALTH: "/healthz"}) == "/healthz"
    for text in ("", "healthz", "http://x/y", "/a b", "/a\n"):
        assert read_health_path({LABEL_HEALTH: text}) == ""
