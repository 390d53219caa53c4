"""The report of a start: its parts, and as lines, as JSON and as a page, whatever names a program has for its modules."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import msgspec
import pytest

from shipwheel.oci.execution import ExecutionConfig
from shipwheel.startup.page import to_page
from shipwheel.startup.report import StartupReport, startup_of
from shipwheel.startup.spans import APPLICATION, LIBRARY
from shipwheel.startup.text import to_json, to_lines
from shipwheel.trial.finding import Verdict
from shipwheel.trial.import_record import ImportingProcess, ImportRecord, InstalledPackage, OneImport, UnusedModules
from shipwheel.trial.observation import Answer, Observation
from shipwheel.trial.trial import Trial

CONFIG = ExecutionConfig(working_dir="/app")
IMPORTS = (
    OneImport(1, 1, 110_000, 310_000, "flask", "/site/flask/__init__.py", 0),
    OneImport(1, 1, 320_000, 330_000, "json", "/lib/json/__init__.py"),
    OneImport(1, 0, 100_000, 350_000, "main", "/app/main.py"),
    OneImport(1, 0, 900_000, 950_000, "late", "/app/late.py"),
)
RECORD = ImportRecord(
    processes=(ImportingProcess(1, began=50_000, worked=40_000, command="python main.py", library="/lib", imports=IMPORTS),),
    packages=(
        InstalledPackage("Flask_Thing", "1.0", 900_000, 800_000, 300_000, 20, ("flask/__init__.py", "flask/app.py")),
        InstalledPackage("idna", "3.0", 500_000, 400_000, 0, 10),
        InstalledPackage("types-only", "3.0", 5_000, 0, 0, 0),
    ),
    unused=(UnusedModules(0, "flask/tests", 9, 200_000), UnusedModules(1, "idna", 10, 400_000), UnusedModules(77, "x", 1, 1)),
)
SERVES = Observation(answers=(Answer(8000, "/", status=200),), ready=0.5, seconds=1.0, imports=RECORD)


def report_of(seen: Observation = SERVES, verdict: Verdict = Verdict.SERVES, *, emulated: bool = False) -> StartupReport:
    return startup_of(Trial(verdict, (), seen), CONFIG, emulated=emulated)


def test_the_parts_are_the_time_until_it_is_ready() -> None:
    report = report_of()
    assert (report.ready, report.interpreter, report.imports, report.later) == (0.5, 0.04, 0.25, 0.05)
    assert report.rest == pytest.approx(0.5 - 0.04 - 0.25)
    times = {group.name: (group.seconds, group.modules) for group in report.groups}
    assert times == {"Flask_Thing": (0.2, 1), APPLICATION: (0.04, 2), LIBRARY: (0.01, 1)}
    main = next(module for module in report.modules if module.name == "main")
    assert (main.own, main.total) == (0.04, 0.25)


@pytest.mark.parametrize(
    ("seen", "ready"),
    [
        (Observation(ended=0, seconds=0.7, imports=RECORD), 0.7),
        (Observation(seconds=10.0, imports=RECORD), 0.95),
        (Observation(seconds=0.2, imports=RECORD), 0.2),
        (Observation(seconds=3.0), 0.0),
    ],
)
def test_a_program_that_serves_nothing_is_ready_at_its_end_or_with_its_last_import(seen: Observation, ready: float) -> None:
    report = report_of(seen, Verdict.ENDS)
    assert report.ready == ready
    assert report.interpreter + report.imports + report.rest == pytest.approx(ready)


def test_names_what_is_never_imported_and_what_is() -> None:
    report = report_of()
    assert [each.package for each in report.unused_packages] == ["idna"]
    assert [(each.package, each.path, each.size) for each in report.unused_modules] == [("Flask_Thing", "flask/tests", 200_000)]
    assert report.used == {"flask-thing": ("flask", "flask.app"), "idna": (), "types-only": ()}


def test_an_import_inside_one_of_the_same_module_counts_once() -> None:
    """The import of a package's module imports the package, which may import that module."""
    imports = (
        OneImport(1, 2, 20, 80, "a.b", "/app/a/b.py"),
        OneImport(1, 1, 10, 90, "a", "/app/a/__init__.py"),
        OneImport(1, 0, 0, 100, "a.b", "/app/a/b.py"),
    )
    processes = tuple(ImportingProcess(pid, forked=True, imports=imports) for pid in (1, 2))
    report = report_of(msgspec.structs.replace(SERVES, imports=ImportRecord(processes)))
    found = {module.name: module for module in report.modules}
    assert (found["a.b"].own, found["a.b"].total, found["a.b"].threads) == (0.00008, 0.0001, 2)


def test_lines_have_the_tables() -> None:
    text = "\n".join(to_lines(report_of(), 1))
    assert text.startswith("serves: / on port 8000 answers 200")
    for part in ("0.500 s  100 %  until it is ready", "Flask_Thing 1.0 (1 module, 0.9 MB)", "idna (10 modules)", "flask/tests (9 modules)"):
        assert part in text
    assert "0.200 s     0.200 s  flask (Flask_Thing)" in text
    assert "0.040 s     0.250 s  main (the application)" in text
    assert "(the standard library)" not in text, "one row in each table"


def test_says_what_the_times_are_not() -> None:
    strange = msgspec.structs.replace(RECORD, unmeasured=("env -i python",), cut=True)
    text = "\n".join(to_lines(report_of(msgspec.structs.replace(SERVES, imports=strange), emulated=True), 5))
    assert "emulator" in text
    assert "Not measured" in text and "env -i python" in text
    assert "more processes or imports than are kept" in text
    silent = "\n".join(to_lines(report_of(msgspec.structs.replace(SERVES, imports=ImportRecord(unmeasured=("env -i python",)))), 5))
    assert "no times" in silent and "env -i python" in silent


def test_json_has_the_report_without_the_single_imports() -> None:
    document = json.loads(json.dumps(to_json(report_of())))
    assert document["ready"] == 0.5
    assert document["serves"] is True
    assert "lanes" not in document


HOSTILE = ["</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", '"><b', "a&amp;b", "\u2028", "']]>", "<!--"]
HOSTILE += ["{{7*7}}", "\x1b[31m"]


class Reader(HTMLParser):
    """The elements of a page, and what is in those that are not markup."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        tag, attributes = self.tags[-1] if self.tags else ("", {})
        key = attributes.get("id") or tag
        self.inside[key] = self.inside.get(key, "") + data


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    return reader


def hostile_page() -> str:
    imports = tuple(OneImport(1, 0, at * 1000, at * 1000 + 900, name, f"/app/{name}") for at, name in enumerate(HOSTILE))
    processes = (ImportingProcess(1, command=HOSTILE[0], forked=True, imports=imports),)
    packages = tuple(InstalledPackage(name, name, 9, 9, 0, 1) for name in HOSTILE)
    record = ImportRecord(processes, packages, unmeasured=tuple(HOSTILE))
    seen = msgspec.structs.replace(SERVES, answers=(Answer(8000, HOSTILE[1], status=200),), imports=record)
    return to_page(report_of(seen), HOSTILE[0])


def test_no_name_becomes_markup() -> None:
    plain, hostile = read(to_page(report_of(), "shop")), read(hostile_page())
    kinds = {tag for tag, _ in plain.tags}
    assert {tag for tag, _ in hostile.tags} == kinds
    assert [tag for tag, _ in hostile.tags].count("script") == 2
    assert not any(name.startswith("on") or name in ("src", "href") for _, attributes in hostile.tags for name in attributes)
    names = {span[0] for lane in json.loads(hostile.inside["data"])["lanes"] for span in lane["spans"]}
    assert names == set(HOSTILE), "the chart has the names as they are"


def test_the_policy_lets_only_the_own_script_and_style_run() -> None:
    page = hostile_page()
    policy = next(str(attributes["content"]) for tag, attributes in read(page).tags if attributes.get("http-equiv"))
    assert policy.startswith("default-src 'none'")
    for tag in ("script", "style"):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert "http:" not in page and "https:" not in page and "//cdn" not in page


def test_the_chart_leaves_out_what_is_too_short_to_see() -> None:
    imports = tuple(OneImport(1, 0, at * 100, at * 100 + 10, f"m{at}", "/app/m.py") for at in range(1000))
    seen = msgspec.structs.replace(SERVES, imports=ImportRecord((ImportingProcess(1, forked=True, imports=imports),)))
    assert json.loads(read(to_page(report_of(seen), "shop")).inside["data"])["lanes"][0]["spans"] == []
