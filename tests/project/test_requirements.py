"""Requirements files in pip's format and in any encoding, and errors that name file and line."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipwheel.errors import LockError
from shipwheel.project.read import read_project
from shipwheel.project.requirements import decode, read_requirements


def write(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def texts(path: Path) -> list[str]:
    return [line.text for line in read_requirements((path,)).lines]


def test_reads_pips_whole_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOST", "mirror.invalid")
    write(tmp_path, "sub/more.txt", "idna==3.7 # why\n-c ../limits.txt\n./here\n")
    write(tmp_path, "limits.txt", "six<2\n")
    path = write(
        tmp_path,
        "requirements.txt",
        "# a comment\\\n"
        "--index-url=https://${HOST}/simple --extra-index-url https://other.invalid/simple\n"
        "-f ./wheels\n--pre\n--require-hashes\n--trusted-host x.invalid\n"
        "numpy == 1.26.4 \\\n    --hash=sha256:AA00 \\\n    --hash=sha512:bb ; python_version > '3'\n"
        "-r sub/more.txt\n"
        "uvicorn[standard]>=0.2; sys_platform == 'linux'\n"
        "name#not-a-comment @ https://x.invalid/a.zip\n".replace("name#not-a-comment", "name")
        + "-e .[x] ; python_version > '3'\n"
        "git+https://x.invalid/r.git@v1#egg=thing&subdirectory=py\n",
    )
    found = read_requirements((path,))
    assert [line.text for line in found.lines] == [
        "numpy == 1.26.4",
        "idna==3.7",
        str(tmp_path / "sub/here"),
        "uvicorn[standard]>=0.2; sys_platform == 'linux'",
        "name @ https://x.invalid/a.zip",
        f"{tmp_path}[x] ; python_version > '3'",
        "thing @ git+https://x.invalid/r.git@v1#subdirectory=py",
    ]
    assert found.lines[0].hashes == ("aa00",)
    assert found.lines[1].place == "more.txt, line 1"
    assert found.lines[0].number == 7
    assert [line.text for line in found.constraints] == ["six<2"]
    assert (found.index_url, found.extra_index_urls) == ("https://mirror.invalid/simple", ("https://other.invalid/simple",))
    assert (found.find_links, found.prereleases, found.no_index) == ((str(tmp_path / "wheels"),), True, False)
    assert [file.name for file in found.files] == ["requirements.txt", "more.txt", "limits.txt"]


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True), st.integers(0, 99)), max_size=8),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1"]),
    st.sampled_from(["\n", "\r\n"]),
)
def test_reads_every_encoding_alike(pins: list[tuple[str, int]], encoding: str, newline: str) -> None:
    text = newline.join(f"{name}=={number}  # é" if encoding == "latin-1" else f"{name}=={number}" for name, number in pins)
    assert decode(text.encode(encoding)) == text


@pytest.mark.parametrize(
    ("written", "found"),
    [("-e ./near", "repo/api/requirements/near"), ("./libs/shared", "repo/libs/shared"), ("-e ../outside", "repo/api/outside")],
)
def test_a_local_path_is_that_of_the_file_or_of_a_directory_of_the_repository_above_it(tmp_path: Path, written: str, found: str) -> None:
    for directory in ("repo/.git", "repo/api/requirements/near", "repo/api/near", "repo/libs/shared", "libs/shared", "outside"):
        (tmp_path / directory).mkdir(parents=True)
    write(tmp_path, "repo/api/requirements/base.txt", f"{written}\n")
    assert texts(tmp_path / "repo/api/requirements/base.txt") == [str(tmp_path / found)]


def test_honours_a_coding_comment() -> None:
    assert decode("# -*- coding: koi8-r -*-\n# я".encode("koi8-r")).endswith("я")


def test_names_every_bad_line(tmp_path: Path) -> None:
    write(tmp_path, "other.txt", "ok\n\n==1\n")
    path = write(
        tmp_path, "requirements.txt", "foo bar\n-r other.txt\n-r gone.txt\n--wat\n-r\nidna --hash=md5:00\n-r https://x.invalid/r.txt\n"
    )
    with pytest.raises(LockError) as raised:
        read_requirements((path,))
    for part in (
        "requirements.txt, line 1: 'foo bar'",
        "other.txt, line 3",
        "gone.txt",
        "line 4: --wat",
        "line 5: --requirement needs",
        "line 6: idna has no sha256",
        "line 7",
    ):
        assert part in raised.value.message


def test_names_an_included_file_that_does_not_exist(tmp_path: Path) -> None:
    path = write(tmp_path, "requirements.txt", "-r more/other.txt\n")
    with pytest.raises(LockError, match=r"^\S+/more/other\.txt does not exist: paths are relative to"):
        read_requirements((path,))


def test_reads_files_that_include_each_other_once(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", "-r b.txt\nsix\n")
    write(tmp_path, "b.txt", "-r a.txt\nidna\n")
    assert texts(tmp_path / "a.txt") == ["idna", "six"]


@pytest.mark.parametrize(
    ("text", "frozen"),
    [
        ("a==1\nb===2 ; os_name == 'nt'\nc @ https://x.invalid/c.zip\n", True),
        ("a==1\nb\n", False),
        ("a==1.*\n", False),
        ("a==1,!=2\n", False),
        ("", False),
    ],
)
def test_tells_pinned_lists_apart(tmp_path: Path, text: str, frozen: bool) -> None:
    assert read_requirements((write(tmp_path, "r.txt", text),)).is_pinned is frozen


def test_accepts_a_continuation_at_the_end_of_the_file(tmp_path: Path) -> None:
    assert texts(write(tmp_path, "r.txt", "six==1.0 \\")) == ["six==1.0"]


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_give_requirements_or_a_lock_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.txt"
    path.write_bytes(data)
    try:
        read_requirements((path,))
    except LockError as error:
        assert error.hint


def test_a_word_behind_an_option_is_no_requirement(tmp_path: Path) -> None:
    found = read_requirements((write(tmp_path, "r.txt", "--find-links=https://wheels.invalid GDAL\nsix\n"),))
    assert [line.text for line in found.lines] == ["six"]
    assert found.find_links == ("https://wheels.invalid",)
    assert found.notes == ("r.txt, line 1: GDAL stands behind an option, where pip reads no requirement.",)


def test_what_only_the_machine_of_pip_freeze_could_install_is_left_out_or_comes_from_the_index(tmp_path: Path) -> None:
    here = tmp_path / "idna_1674000000000/work"
    path = write(
        tmp_path,
        "requirements.txt",
        "wsgiref==0.1.2\ndistribute==0.6.24\npkg-resources==0.0.0\nargparse==1.2.1\nfutures==3.3.0\n"
        "enum34==1.1\nfunctools32==3.2.3.post2\nurllib3==1.26\ncontextlib2==0.5.1\n"
        "certifi @ file:///croot/certifi_1671487769961/work/certifi\n"
        "rich[jupyter] @ file:///C:/ci_311/rich_1674000000000/work ; python_version > '3'\n"
        f"idna @ {here.as_uri()}\nown @ file:///home/me/work/own_2/ci/own\n"
        "dataclasses==0.8 ; python_version < '3.7'\n"
        "platform @ git+https://git.invalid/platform\n",
    )
    here.mkdir(parents=True)
    found = read_requirements((path,))
    assert [line.text for line in found.lines] == [
        "urllib3==1.26",
        "contextlib2==0.5.1",
        "certifi",
        'rich[jupyter] ; python_version > "3"',
        f"idna @ {here.as_uri()}",
        "own @ file:///home/me/work/own_2/ci/own",
        "dataclasses==0.8 ; python_version < '3.7'",
        "platform @ git+https://git.invalid/platform",
    ]
    assert found.notes[0] == "requirements.txt, line 1: wsgiref is in Python's standard library: it is left out."
    assert found.notes[5] == "requirements.txt, line 6: enum34 is in Python's standard library: it is left out."
    assert found.notes[7].endswith("of another machine: certifi comes from the package index.")
    assert len(found.notes) == 9


@pytest.mark.parametrize("place", [f"{'x' * 300}_1674000000000/work", "a%00b", "x" * 300])
def test_a_path_that_no_file_system_has_is_read(tmp_path: Path, place: str) -> None:
    write(tmp_path, "requirements.txt", f"own @ file:///{place}\n")
    (tmp_path / "main.py").write_text("import own\n")
    assert read_project(tmp_path).dependencies == {"own"}
