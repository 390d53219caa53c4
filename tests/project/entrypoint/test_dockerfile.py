"""The last stage of a Dockerfile."""

from shipwheel.project.entrypoint.dockerfile import parse_last_stage


def test_reads_only_the_last_stage() -> None:
    stage = parse_last_stage("FROM a AS b\nEXPOSE 1\nCMD x\nFROM c\nENV A=1 B='two words'\nENV C three\nexpose 80/tcp 53/udp\n")
    assert (stage.command, stage.ports) == ("", ("80",))
    assert dict(stage.variables) == {"A": "1", "B": "two words", "C": "three"}


def test_reads_the_escape_directive() -> None:
    assert parse_last_stage("# syntax=x\n# escape=`\nFROM x\nCMD a `\n b\\\nEXPOSE 1\n").command == "a   b\\"


def test_reads_only_valid_tcp_ports() -> None:
    assert parse_last_stage("FROM x\nARG P=8080\nEXPOSE 99999 0 \u0668\u0660 $P 80/tcp 81/udp $Q\n").ports == ("8080", "80")
