"""Settings: strict keys and types, all problems at once, flags over files; readers raise only errors of shipwheel."""

import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipwheel.errors import ProjectError, ShipwheelError, UsageError
from shipwheel.settings.settings import Settings, added, expand_env, load_settings, merge, settings_from
from shipwheel.user.files import parse_toml, read_toml
from shipwheel.wheels.isolated_build import BuildOptions


def _read(text: str) -> Settings:
    return settings_from(parse_toml(text, "shipwheel.toml"), "shipwheel.toml")


def _wrong(text: str) -> UsageError:
    with pytest.raises(UsageError) as caught:
        _read(text)
    return caught.value


def test_every_setting_has_a_default() -> None:
    settings = _read("")
    assert settings == Settings()
    assert settings.user is None, "a base image may have one"
    assert settings.platforms == ("linux/amd64", "linux/arm64")
    assert settings.workdir == "/app"


def test_reads_every_key() -> None:
    settings = _read(
        """
        python = "3.11"
        as-of = 2024-09-15
        platforms = "linux/amd64, linux/arm64"
        command = "chatchat start -a --name 'two words'"
        before-start = [["chatchat", "init"]]
        ports = [7861, "8501", "53/UDP"]
        volumes = ["/data/"]
        user = 1000
        env = { NLTK_DATA = "{site-packages}/nltk", JSON = '[{"a": 1}]' }
        requirements = "requirements/prod.txt"
        """
    )
    assert settings.as_of == datetime.date(2024, 9, 15)
    assert settings.platforms == ("linux/amd64", "linux/arm64")
    assert settings.command == ("chatchat", "start", "-a", "--name", "two words")
    assert settings.before_start == (("chatchat", "init"),)
    assert settings.ports == ("7861/tcp", "8501/tcp", "53/udp")
    assert settings.volumes == ("/data",)
    assert settings.user == "1000:1000"
    assert settings.requirements == ("requirements/prod.txt",)
    assert expand_env(settings.env, "/opt/venv/lib/x") == {"NLTK_DATA": "/opt/venv/lib/x/nltk", "JSON": '[{"a": 1}]'}


def test_accepts_a_date_as_a_string() -> None:
    assert _read('as-of = "2024-09-15"') == _read("as-of = 2024-09-15")


@pytest.mark.parametrize(
    ("written", "meant"),
    [("platfroms", "platforms"), ("before_start", "before-start"), ("asof", "as-of"), ("PORTS", "ports"), ("volume", "volumes")],
)
def test_suggests_the_most_similar_key(written: str, meant: str) -> None:
    error = _wrong(f"{written} = []")
    assert f"unknown key {written!r}, did you mean {meant!r}?" in error.message
    assert error.message.startswith("shipwheel.toml: ")


def test_explains_a_tool_table_in_shipwheel_toml() -> None:
    error = _wrong('[tool.shipwheel]\nports = [1]\n[tool.shipwheel.env]\nA = "1"\n')
    assert "leave it out" in error.hint
    assert "Known keys" not in error.hint


def test_rejects_an_invalid_day() -> None:
    error = _wrong('as-of = "yesterday"')
    assert "'yesterday' is not a day" in error.message
    assert "YYYY-MM-DD" in error.hint


def test_lists_all_keys_if_none_is_similar() -> None:
    assert "before-start" in _wrong("zzzzzz = 1").hint


def test_reports_all_problems_at_once() -> None:
    message = _wrong('python = 3.11\nports = [0]\nuser = "www"\nvolumes = ["/"]\nlabels = { a = 1 }\nfoo_bar_baz = 1').message
    for part in (
        "python: expected string, got float",
        "ports: '0' is not a port",
        "user: 'www' is not numeric",
        "volumes: '/'",
        "labels: a must be",
        "foo_bar",
    ):
        assert part in message


@pytest.mark.parametrize(
    "line",
    [
        "ports = [65536]",
        "ports = [-1]",
        "ports = [true]",
        'ports = ["80/http"]',
        'user = "root"',
        'user = "0:wheel"',
        'user = "99999999999"',
        'volumes = ["data"]',
        'volumes = ["/data/../etc"]',
        'workdir = "app"',
        'env = { "A=B" = "c" }',
        'env = { "" = "c" }',
        "env = { A = 1 }",
        "command = []",
        'command = "unclosed \'"',
        "command = [1]",
        'before-start = ["chatchat", "init"]',
        "before-start = [[]]",
        'requirements = "../other.txt"',
        'requirements = "/etc/requirements.txt"',
        'bytecode = "yes"',
        'python = "2.7"',
        'python = "latest"',
        'as-of = "yesterday"',
        'packages = ["libGL; rm"]',
        'stop-signal = "kill"',
        'name = "-"',
        'dependencies = ["not a requirement!"]',
        'dependencies = ["-r other.txt"]',
        'state = ["../x"]',
        "state = [1]",
    ],
)
def test_names_the_key_of_a_wrong_value(line: str) -> None:
    assert f"{line.split(' = ')[0]}: " in _wrong(line).message


def test_root_has_to_be_set_explicitly() -> None:
    assert _read("user = 0").user == "0:0"
    assert _read('user = "0"').user == "0:0"


def test_does_not_repeat_the_password_of_a_mirror() -> None:
    error = _wrong('debian-mirror = "http://me:hunter2@mirror.invalid/debian"')
    assert "hunter2" not in error.message + error.hint


def test_flags_override_values_and_extend_tables() -> None:
    settings = _read('python = "3.11"\nports = [1]\nenv = { A = "file", B = "file" }')
    merged = merge(settings, {"python": "3.13", "ports": (2,), "env": {"B": "flag"}, "as_of": "2025-01-02", "tag": None})
    assert (merged.python, merged.ports, merged.env) == ("3.13", ("2/tcp",), {"A": "file", "B": "flag"})
    assert merged.as_of == datetime.date(2025, 1, 2)
    assert merged.tag is None


def test_unset_flags_change_nothing() -> None:
    settings = _read('user = "7:8"\nports = ["53/udp"]')
    assert merge(settings, {"user": None}) == settings


def test_reads_pyproject_toml_or_shipwheel_toml_but_not_both(tmp_path: Path) -> None:
    assert load_settings(tmp_path) == Settings()
    (tmp_path / "pyproject.toml").write_text('[tool.other]\nx = 1\n[tool.shipwheel]\ntag = "a:1"\n')
    assert load_settings(tmp_path).tag == "a:1"
    (tmp_path / "shipwheel.toml").write_text('tag = "b:1"\n')
    with pytest.raises(UsageError, match=r"shipwheel\.toml and \[tool\.shipwheel\] in .*pyproject\.toml"):
        load_settings(tmp_path)
    (tmp_path / "pyproject.toml").write_text("[tool.other]\nx = 1\n")
    assert load_settings(tmp_path).tag == "b:1"


def test_rejects_settings_that_are_not_a_table(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool]\nshipwheel = 1\n")
    with pytest.raises(UsageError, match="not a table"):
        load_settings(tmp_path)


def test_names_the_position_of_a_syntax_error(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[project]\nname = \n")
    with pytest.raises(ProjectError, match=r"pyproject\.toml, line 2, column 8: "):
        read_toml(tmp_path / "pyproject.toml")


@pytest.mark.parametrize("data", [b"a = '\xff'", b"\xff\xfea\x00", b"a = " + b"[" * 5000, b"a = " + b"9" * 6000, b"a = 2024-99-99"])
def test_hostile_toml_raises_a_project_error(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.toml").write_bytes(data)
    with pytest.raises(ProjectError, match=r"x\.toml"):
        read_toml(tmp_path / "x.toml")


def test_ignores_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_bytes(b"\xef\xbb\xbfa = 1\r\n")
    assert read_toml(tmp_path / "x.toml") == {"a": 1}


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
_KEYS = st.sampled_from([name.replace("_", "-") for name in Settings.__struct_fields__]) | st.text(max_size=10)


@given(st.dictionaries(_KEYS, _VALUES, max_size=5))
def test_any_table_gives_settings_or_a_usage_error(table: dict[str, object]) -> None:
    try:
        settings = settings_from(table, "x.toml")
    except UsageError as error:
        assert error.message.startswith("x.toml: ")
        assert error.hint
    else:
        assert all(0 < int(port.split("/")[0]) < 65536 for port in settings.ports)
        assert all(volume.startswith("/") and volume != "/" for volume in settings.volumes)


@given(st.text(alphabet="ab=[]{}\"'.,#\n\r\t 019-:\\u\x00", max_size=60))
def test_any_text_gives_a_table_or_a_project_error(text: str) -> None:
    try:
        parse_toml(text, "x.toml")
    except ShipwheelError as error:
        assert error.message.startswith("x.toml")


def test_a_build_has_settings_for_all_packages_and_for_one() -> None:
    text = '[build]\nconstraints = ["setuptools<66"]\nenv = { A = "1" }\n[build.Old_Name]\nconstraints = ["cython<3"]\nenv = { B = "2" }\n'
    build = _read(text).build
    assert build is not None and [*build.by_package] == ["old-name"]
    options = BuildOptions("3.11", "", build_env=build.env, build_constraints=build.constraints, by_package=build.by_package)
    assert options.of("old.name").build_constraints == ("setuptools<66", "cython<3")
    assert options.of("old.name").build_env == {"A": "1", "B": "2"}
    assert options.of("other") is options


def test_a_wrong_key_for_the_build_of_a_package_is_named() -> None:
    assert "pakages" in _wrong('[build.old]\npakages = ["swig"]\n').message
    assert "build: must be a table" in _wrong("build = 1\n").message


@pytest.mark.parametrize("place", ["builds", "/srv/builds/", "https://mirror.invalid/builds/", "file:///srv/builds"])
def test_accepts_a_path_or_url_for_python_builds(place: str) -> None:
    assert _read(f'python-builds = "{place}"').python_builds == place.rstrip("/")


def test_rejects_other_locations_for_python_builds() -> None:
    for place in ("", "ftp://mirror.invalid/", "http://me:hunter2@mirror.invalid/builds"):
        error = _wrong(f'python-builds = "{place}"')
        assert "python-builds: neither a path nor the URL of a mirror" in error.message
        assert "hunter2" not in f"{error.message} {error.hint}"


def test_reads_requirements_in_their_normal_form() -> None:
    found = _read('dependencies = ["setuptools <81", "uvicorn[standard]", "tomli; python_version<\'3.11\'", "x @ https://x.invalid/x.whl"]')
    assert found.dependencies[:2] == ("setuptools<81", "uvicorn[standard]")
    assert found.dependencies[2].startswith("tomli; python_version <")
    assert _read('dependencies = "one"').dependencies == ("one",)


def test_reads_state_as_files_and_directories() -> None:
    assert _read('state = ["./a.db", "uploads/", "/var/lib/x/"]').state == ("a.db", "uploads/", "/var/lib/x/")


@pytest.mark.parametrize(
    ("before", "key", "value", "after"),
    [
        ("ports = [80]", "ports", ("8000",), ("80/tcp", "8000/tcp")),
        ("ports = [80]", "ports", ("80/tcp",), ("80/tcp",)),
        ("", "dependencies", ("a", "b"), ("a", "b")),
        ('dependencies = ["a"]', "dependencies", ("a", "b"), ("a", "b")),
        ("", "before-start", ("a", "b c"), (("a", "b c"),)),
        ('before-start = [["x"]]', "before-start", ("a", "b"), (("x",), ("a", "b"))),
        ('env = { A = "mine" }', "env", {"A": "ours", "B": "new"}, {"A": "mine", "B": "new"}),
        ('env = { PYTHONPATH = "/app/a" }', "env", {"PYTHONPATH": "/app/b"}, {"PYTHONPATH": "/app/a:/app/b"}),
        ('env = { PYTHONPATH = "/app/b:/app/a" }', "env", {"PYTHONPATH": "/app/a"}, {"PYTHONPATH": "/app/b:/app/a"}),
        ("", "command", ("a", "b"), ("a", "b")),
        ('command = "old"', "command", ("a", "b"), ("a", "b")),
        ("", "python", "3.11", "3.11"),
        ('python = "3.12"', "python", "3.11", "3.12"),
        ("", "workdir", "/app/shop", "/app/shop"),
        ('workdir = "/srv"', "workdir", "/app/shop", "/srv"),
    ],
)
def test_adds_to_what_a_person_wrote(before: str, key: str, value: object, after: object) -> None:
    settings = _read(before)
    found = added(settings, key, value)
    assert getattr(found, key.replace("-", "_")) == after
    assert added(found, key, value) == found, "a second time changes nothing"


def test_a_wrong_addition_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match=r"dependencies: 'a b' is not a requirement"):
        added(Settings(), "dependencies", ("a b",))


@pytest.mark.parametrize("target", ["etc/x", "/", "/etc/../x", "/opt/venv/x", "/proc/x", "/tmp", "/etc/.wh.x", "/etc/a:b"])
def test_nothing_is_copied_to_such_a_place(target: str) -> None:
    assert "copy:" in _wrong(f'copy = {{"{target}" = "conf/x"}}').message


@pytest.mark.parametrize("source", ["/etc/passwd", "../x", "a/../../x"])
def test_nothing_is_copied_from_outside(source: str) -> None:
    assert "copy:" in _wrong(f'copy = {{"/etc/x" = "{source}"}}').message
    assert _read('copy = {"/etc/x/" = "conf/x"}').copy == {"/etc/x": "conf/x"}
