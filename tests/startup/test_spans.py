"""Imports as trees, and whose every microsecond of a start is: for honest processes, and for whatever a program writes down."""

from hypothesis import given, settings
from hypothesis import strategies as st

from shipwheel.startup.spans import APPLICATION, INTERPRETER, LIBRARY, NO_FILE, OTHER, Lane, Span, lanes_of
from shipwheel.startup.wall_time import own_times
from shipwheel.trial.import_record import ImportingProcess, ImportRecord, InstalledPackage, OneImport

TIMES = st.integers(-50, 2000)
IMPORTS = st.builds(
    OneImport,
    thread=st.integers(0, 1),
    depth=st.integers(0, 5),
    start=TIMES,
    end=TIMES,
    name=st.sampled_from("abc"),
    file=st.sampled_from(["", "/app/a.py", "/lib/b.py", "built-in"]),
    package=st.integers(-1, 2),
)
PROCESSES = st.builds(
    ImportingProcess,
    pid=st.integers(1, 3),
    forked=st.booleans(),
    began=TIMES,
    worked=st.integers(0, 500),
    library=st.just("/lib"),
    imports=st.lists(IMPORTS, max_size=12).map(tuple),
)


def record_of(*processes: ImportingProcess) -> ImportRecord:
    return ImportRecord(processes, (InstalledPackage("flask"), InstalledPackage("idna")))


def one(name: str, depth: int, start: int, end: int, file: str = "/app/x.py", package: int = -1, thread: int = 1) -> OneImport:
    return OneImport(thread, depth, start, end, name, file, package)


def test_an_import_contains_those_that_it_made() -> None:
    imports = (
        one("b.c", 2, 12, 14),
        one("b", 1, 11, 15),
        one("d", 1, 16, 18),
        one("a", 0, 10, 20),
        one("other", 0, 5, 30, thread=2),
        one("e", 0, 25, 26),
    )
    main, second = lanes_of(record_of(ImportingProcess(1, began=9, imports=imports, forked=True)), "/app")
    assert [span.name for span in main.spans] == ["a", "e"]
    a = main.spans[0]
    assert [span.name for span in a.all()] == ["a", "b", "b.c", "d"]
    assert (a.total, a.own, a.children[0].own) == (10, 4, 2)
    assert [span.name for span in second.spans] == ["other"]


def test_an_import_that_never_ended_leaves_those_that_it_made() -> None:
    imports = (one("b", 1, 11, 15), one("c", 2, 16, 17))
    (lane,) = lanes_of(record_of(ImportingProcess(1, began=9, imports=imports, forked=True)), "/app")
    assert [span.name for span in lane.spans] == ["b", "c"]


def test_modules_belong_to_packages_and_other_groups() -> None:
    files = [
        ("/site/flask/app.py", 0, "flask"),
        ("/usr/lib/python3/os.py", -1, LIBRARY),
        ("/usr/lib/python3/site-packages/mine.py", -1, OTHER),
        ("built-in", -1, LIBRARY),
        ("frozen", -1, LIBRARY),
        ("/app/main.py", -1, APPLICATION),
        ("/application/main.py", -1, OTHER),
        ("", -1, NO_FILE),
        ("/x.py", 99, OTHER),
    ]
    imports = tuple(one(str(at), 0, at * 2, at * 2 + 1, file, package) for at, (file, package, _) in enumerate(files))
    process = ImportingProcess(1, imports=imports, library="/usr/lib/python3", forked=True)
    (lane,) = lanes_of(record_of(process), "/app")
    assert [span.group for span in lane.spans] == [group for _, _, group in files]


def test_the_start_of_an_interpreter_is_as_long_as_it_kept_the_processor_busy() -> None:
    """A shell may have waited in the same process; a program that replaces another has its processor time."""
    launcher = ImportingProcess(7, began=5_000, worked=2_000, imports=(one("json", 0, 6_000, 7_000),))
    server = ImportingProcess(7, began=12_000, worked=5_000)
    fork = ImportingProcess(8, began=13_000, worked=0, forked=True, imports=(one("late", 0, 14_000, 15_000),))
    lanes = lanes_of(record_of(server, fork, launcher), "/app")
    starts = [(span.start, span.end) for lane in lanes for span in lane.spans if span.group == INTERPRETER]
    assert starts == [(3_000, 5_000), (9_000, 12_000)]


def check(span: Span) -> None:
    at = span.start
    for child in span.children:
        assert at <= child.start < child.end <= span.end
        at = child.end
        check(child)


@settings(deadline=None)
@given(st.lists(PROCESSES, max_size=4), st.integers(0, 2000))
def test_whatever_is_written_down_fits_into_the_time(processes: list[ImportingProcess], end: int) -> None:
    lanes = lanes_of(record_of(*processes), "/app")
    for lane in lanes:
        for before, span in zip((None, *lane.spans), lane.spans, strict=False):
            assert before is None or before.end <= span.start
            check(span)
    times = own_times(lanes, end)
    assert all(time > 0 for time in times.values())
    assert sum(times.values()) <= end


def test_of_two_processes_at_a_time_the_first_counts() -> None:
    lanes = [
        Lane(1, "", (Span("a", "x", "", 10, 20, (Span("b", "x", "", 12, 15),)), Span("c", "x", "", 30, 40))),
        Lane(2, "", (Span("a", "x", "", 14, 34),)),
    ]
    assert own_times(lanes, 100) == {("x", "a"): 7 + 10, ("x", "b"): 3, ("x", "c"): 10}
    assert own_times(lanes, 16) == {("x", "a"): 3, ("x", "b"): 3}


def test_a_program_that_writes_many_threads_down_makes_few_lanes() -> None:
    imports = (one(f"m{number}", 0, number * 10, number * 10 + 5, thread=number) for number in range(200))
    lanes = lanes_of(record_of(ImportingProcess(1, imports=tuple(imports))), "/app")
    assert len(lanes) <= 32
    assert sum(len(lane.spans) for lane in lanes) == 200
