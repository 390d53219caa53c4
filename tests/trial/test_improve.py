"""`improve` with a fake project, which needs some settings and variables until it serves."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date

import pytest
from support.advice import FakeAdvisor

from shipwheel.errors import (
    BuildError,
    FailedStep,
    LockError,
    MissingImports,
    NoRequirements,
    RemovedFiles,
    StepLacksModule,
    UnbuildableSource,
)
from shipwheel.locking.diagnose.uv_errors import IndexUnavailable
from shipwheel.oci.execution import ExecutionConfig, ExposedPort
from shipwheel.settings.build import AssetSettings, StepSettings
from shipwheel.settings.settings import Settings
from shipwheel.trial.finding import Setting
from shipwheel.trial.findings import find, verdict_of
from shipwheel.trial.improve import Rejected, Round, improve
from shipwheel.trial.mend import Change
from shipwheel.trial.observation import Answer, Observation, Socket
from shipwheel.trial.trial import Trial
from shipwheel.trial.write_findings import with_refused_writes

SERVER = ExecutionConfig(exposed_ports=(ExposedPort(8000, "tcp"),), working_dir="/app")
SERVES = Observation(sockets=(Socket("tcp", "0.0.0.0", 8000),), answers=(Answer(8000, "/", status=200),))


def fails(*lines: str) -> Observation:
    """Return an observation of a program that prints lines and ends."""
    return Observation(ended=1, log="".join(f"{line}\n" for line in lines))


def no_module(*names: str) -> Observation:
    """Return an observation of a program that lacks modules."""
    return fails(*(f"ModuleNotFoundError: No module named '{name}'" for name in names))


@dataclass
class Project:
    """A project whose image does what `run` returns for its settings and variables. `tries` has the settings of every trial."""

    run: Callable[[Settings, Mapping[str, str]], Observation]
    advisor: FakeAdvisor = field(default_factory=FakeAdvisor)
    unbuildable: Callable[[Settings], bool] = lambda settings: False
    tries: list[Settings] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def __call__(self, settings: Settings, env: Mapping[str, str]) -> Round:
        self.tries.append(settings)
        if self.unbuildable(settings):
            raise LockError("no version of it fits\nat all")
        seen = self.run(settings, env)
        findings = with_refused_writes(find(seen, SERVER), SERVER)
        return Round(Trial(verdict_of(seen, findings), findings, seen), self.advisor)


def test_a_project_that_serves_needs_nothing() -> None:
    project = Project(lambda settings, env: SERVES)
    found = improve(project, Settings(), project.lines.append)
    assert found.trial.verdict.is_good
    assert (found.changes, found.variables, found.rejected) == ((), (), ())
    assert len(project.tries) == 1
    assert project.lines == [], "the result says it"


def test_changes_are_tried_together() -> None:
    project = Project(lambda settings, env: SERVES if len(settings.dependencies) == 2 else no_module("yaml", "jinja2"))
    found = improve(project, Settings(), project.lines.append)
    assert found.trial.verdict.is_good
    assert [change.setting for change in found.changes] == [Setting("dependencies", ("pyyaml",)), Setting("dependencies", ("jinja2",))]
    assert [settings.dependencies for settings in project.tries] == [(), ("pyyaml", "jinja2")]


def test_what_a_change_uncovers_is_mended_too() -> None:
    layers = ("a1", "b1", "c1")
    project = Project(lambda settings, env: SERVES if len(settings.dependencies) == 3 else no_module(layers[len(settings.dependencies)]))
    found = improve(project, Settings(), project.lines.append)
    assert found.trial.verdict.is_good
    assert len(found.changes) == 3
    assert project.tries[-1].dependencies == layers


def test_changes_that_cannot_be_built_together_are_tried_one_by_one() -> None:
    project = Project(
        lambda settings, env: no_module("bad") if "good" in settings.dependencies else no_module("good", "bad"),
        unbuildable=lambda settings: "bad" in settings.dependencies,
    )
    found = improve(project, Settings(), project.lines.append)
    assert [change.setting for change in found.changes] == [Setting("dependencies", ("good",))]
    (refused,) = found.rejected
    assert (refused.change.setting, refused.result, refused.output) == (Setting("dependencies", ("bad",)), "no version of it fits", ())
    assert not found.trial.verdict.is_good
    assert [settings.dependencies for settings in project.tries] == [(), ("good", "bad"), ("good",), ("good", "bad")]


def test_a_change_that_was_refused_is_not_tried_again() -> None:
    project = Project(lambda settings, env: no_module("bad"), unbuildable=lambda settings: bool(settings.dependencies))
    improve(project, Settings(), project.lines.append)
    assert len(project.tries) == 2


USAGE = "Usage: shop [OPTIONS] COMMAND [ARGS]...\n"
COMMANDS = "Commands:\n  serve  Start it.\n"


@pytest.mark.parametrize("helps", [True, False])
def test_a_tentative_change_stays_only_if_the_program_comes_further(helps: bool) -> None:
    advisor = FakeAdvisor(words=("shop",), help={(): COMMANDS})
    usage = Observation(ended=2, log=USAGE)
    project = Project(lambda settings, env: SERVES if helps and settings.command == ("shop", "serve") else usage, advisor)
    found = improve(project, Settings(), project.lines.append)
    assert [settings.command for settings in project.tries] == [(), ("shop", "serve")]
    changed = Setting("command", ("shop", "serve"))
    if helps:
        assert [change.setting for change in found.changes] == [changed]
        assert found.rejected == ()
    else:
        assert found.changes == ()
        (refused,) = found.rejected
        assert (refused.change.setting, refused.change.tentative) == (changed, True)
        assert refused.result.startswith("fails: ")
    assert found.trial.verdict.is_good == helps


@pytest.mark.parametrize("helps", [True, False])
def test_an_older_python_stays_if_what_it_uncovers_can_be_added(helps: bool) -> None:
    def run(settings: Settings, _env: Mapping[str, str]) -> Observation:
        if settings.python != "3.11":
            return fails("ImportError: cannot import name 'Iterable' from 'collections'")
        return no_module("yaml") if "pyyaml" not in settings.dependencies else SERVES if helps else fails("ValueError: no")

    project = Project(run, FakeAdvisor(pythons=("3.11",)))
    found = improve(project, Settings(), project.lines.append)
    assert found.trial.verdict.is_good == helps
    wanted = [Setting("python", "3.11"), Setting("dependencies", ("pyyaml",))]
    assert [change.setting for change in found.changes] == (wanted if helps else [])
    assert [each.change.setting for each in found.rejected] == ([] if helps else wanted[:1])


def test_the_day_of_the_last_change_is_tried_behind_one_with_files_for_every_python() -> None:
    def run(settings: Settings, _env: Mapping[str, str]) -> Observation:
        if settings.as_of is None or settings.as_of.year > 2019:
            return fails("ImportError: cannot import name 'Iterable' from 'collections'")
        return no_module("pkg_resources") if not settings.dependencies else SERVES

    project = Project(run, FakeAdvisor(dates=("2021-10-05", "2019-09-01")))
    found = improve(project, Settings(), project.lines.append)
    assert found.trial.verdict.is_good
    assert [change.setting for change in found.changes] == [Setting("as-of", "2019-09-01"), Setting("dependencies", ("setuptools<81",))]


def test_paths_that_cannot_be_written_become_state_one_after_the_other() -> None:
    def run(settings: Settings, _env: Mapping[str, str]) -> Observation:
        refused = next((path for path in ("run.pid", "logs") if not any(path in each for each in settings.state)), "")
        return fails(f"OSError: [Errno 30] Read-only file system: '/app/{refused}'") if refused else SERVES

    project = Project(run, FakeAdvisor())
    found = improve(project, Settings(), project.lines.append)
    assert [change.setting for change in found.changes] == [Setting("state", ("run.pid",)), Setting("state", ("logs/",))]
    assert "  try state: It cannot write to /app/run.pid" in project.lines
    assert found.trial.verdict.is_good


def test_older_packages_are_not_tried_if_a_variable_explains_the_failure() -> None:
    log = "ImportError: cannot import name 'x'", "BOT_TOKEN is not set"
    project = Project(lambda settings, env: SERVES if env else fails(*log), FakeAdvisor(dates=("2020-01-01",), pythons=("3.9",)))
    found = improve(project, Settings(), project.lines.append)
    assert (found.changes, found.rejected, found.variables) == ((), (), ("BOT_TOKEN",))


def test_packages_of_an_earlier_day_are_tried_if_those_of_a_later_one_do_not_help() -> None:
    day = date(2019, 6, 27)
    project = Project(
        lambda settings, _env: SERVES if settings.as_of == day else fails("ImportError: cannot import name 'cached_property'"),
        FakeAdvisor(dates=("2021-10-05", "2019-06-27"), pythons=("3.11",)),
    )
    found = improve(project, Settings(), project.lines.append)
    assert [change.setting for change in found.changes] == [Setting("as-of", "2019-06-27")]
    assert [each.change.setting for each in found.rejected] == [Setting("as-of", "2021-10-05")]


def test_a_server_that_callers_reach_is_better_than_one_that_answers_inside() -> None:
    served = ("gunicorn", "--bind", "0.0.0.0:8000", "shop:app")
    inside = Observation(sockets=(Socket("tcp", "127.0.0.1", 8000),), answers=(Answer(8000, "/", status=200),))
    project = Project(lambda settings, env: SERVES if settings.command == served else inside, FakeAdvisor(served=served))
    found = improve(project, Settings(), project.lines.append)
    assert [change.setting for change in found.changes] == [Setting("command", served)]


@pytest.mark.parametrize("right", [1, 2, None])
def test_a_server_without_any_page_gives_way_to_another_that_answers(right: int | None) -> None:
    others = (("gunicorn", "api:app"), ("python", "panel.py"))
    lost = Observation(sockets=SERVES.sockets, answers=(Answer(8000, "/", status=404),))
    project = Project(
        lambda settings, env: SERVES if right and settings.command == others[right - 1] else lost,
        FakeAdvisor(words=("gunicorn", "mock:app"), others=others),
    )
    found = improve(project, Settings(), project.lines.append)
    assert [change.setting.value for change in found.changes] == list(others[right - 1 : right] if right else ())
    assert [settings.command for settings in project.tries] == [(), *others[:right]]
    assert found.trial.verdict.is_good, "whoever knows its pages can reach them"


def test_a_program_that_fails_in_another_way_has_come_further() -> None:
    advisor = FakeAdvisor(words=("shop",), help={(): COMMANDS})

    def run(settings: Settings, env: Mapping[str, str]) -> Observation:
        if not settings.command:
            return Observation(ended=2, log=USAGE)
        return SERVES if settings.dependencies else no_module("yaml")

    project = Project(run, advisor)
    found = improve(project, Settings(), project.lines.append)
    assert {change.setting.key for change in found.changes} == {"command", "dependencies"}
    assert found.trial.verdict.is_good


MISFIT = """\
Traceback (most recent call last):
  File "/app/main.py", line 1, in <module>
    import sub
  File "/opt/venv/lib/python3.9/site-packages/sub/web.py", line 21, in <module>
    from {0} import name
ImportError: cannot import name 'name' from '{0}' (/opt/venv/lib/python3.9/site-packages/{0}/__init__.py)
"""


@pytest.mark.parametrize("helps", [True, False])
def test_a_package_that_another_has_outgrown_gets_its_version_of_then(helps: bool) -> None:
    """Whatever is missing next; older packages of all kinds are tried only if that does not help."""

    def run(settings: Settings, env: Mapping[str, str]) -> Observation:
        return SERVES if settings.as_of else fails(MISFIT.format("other" if helps and settings.dependencies else "base"))

    project = Project(run, FakeAdvisor(dates=("2020-01-01",), then={("base", "sub"): "base==1.2"}))
    found = improve(project, Settings(), project.lines.append)
    assert [settings.dependencies for settings in project.tries][:2] == [(), ("base==1.2",)]
    assert found.trial.verdict.is_good
    assert [change.setting.key for change in found.changes] == (["dependencies", "as-of"] if helps else ["as-of"])


FRAME = 'Traceback (most recent call last):\n  File "/opt/venv/lib/python3.9/site-packages/base/web.py", line 5, in <module>\n    {}\n{}\n'


@pytest.mark.parametrize(
    "log",
    [
        FRAME.format("class User(Model):", "RuntimeError: __class__ not set defining 'User' as <class 'base.web.User'>. Was __classcell__"),
        FRAME.format(
            "from collections import Mapping", "ImportError: cannot import name 'Mapping' from 'collections' (/usr/lib/python3.9/x.py)"
        ),
        FRAME.replace(", in <module>", "").format("async = 1", "SyntaxError: invalid syntax"),
        FRAME.format("types.CodeType(*code_args)", "TypeError: code() takes at least 14 arguments (13 given)"),
    ],
)
@pytest.mark.parametrize("helps", [True, False])
def test_a_package_that_is_older_than_the_python_gets_a_later_release(log: str, helps: bool) -> None:
    def run(settings: Settings, env: Mapping[str, str]) -> Observation:
        return SERVES if settings.as_of or (helps and settings.replace) else fails(log)

    project = Project(run, FakeAdvisor(dates=("2020-01-01",), then={("base", "later"): "base>1.1,<2"}))
    found = improve(project, Settings(), project.lines.append)
    assert found.trial.verdict.is_good
    assert [change.setting.key for change in found.changes] == (["replace"] if helps else ["as-of"])
    assert project.tries[1].replace == {"base": "base<2,>1.1"}


def test_a_later_release_stays_if_another_package_fails_next() -> None:
    log = FRAME.format("from collections import Mapping", "ImportError: cannot import name 'Mapping' from 'collections' (/usr/lib/x.py)")

    def run(settings: Settings, env: Mapping[str, str]) -> Observation:
        left = [name for name in ("base", "other") if name not in settings.replace]
        return fails(log.replace("/base/", f"/{left[0]}/")) if left else SERVES

    advisor = FakeAdvisor(then={("base", "later"): "base>1.1,<2", ("other", "later"): "other>3,<4"})
    found = improve(Project(run, advisor), Settings(), print)
    assert found.trial.verdict.is_good
    assert [change.setting.value for change in found.changes] == [{"base": "base>1.1,<2"}, {"other": "other>3,<4"}]


def test_a_version_of_then_that_cannot_be_had_gives_way_to_the_one_before() -> None:
    project = Project(
        lambda settings, env: SERVES if settings.dependencies == ("base<2",) else fails(MISFIT.format("base")),
        FakeAdvisor(then={("base", "sub"): "base==1.2", ("base", ""): "base<2"}),
        unbuildable=lambda settings: settings.dependencies == ("base==1.2",),
    )
    found = improve(project, Settings(), project.lines.append)
    assert [change.setting for change in found.changes] == [Setting("dependencies", ("base<2",))]
    assert found.trial.verdict.is_good


@pytest.mark.parametrize("helps", [True, False])
def test_a_package_that_the_program_has_outgrown_gets_the_version_before(helps: bool) -> None:
    log = MISFIT.format("base").replace("/opt/venv/lib/python3.9/site-packages/sub/web.py", "/app/web.py")

    def run(settings: Settings, env: Mapping[str, str]) -> Observation:
        return SERVES if helps and settings.dependencies == ("base<2",) else fails(log)

    found = improve(Project(run, FakeAdvisor(then={("base", ""): "base<2"})), Settings(), print)
    assert found.trial.verdict.is_good == helps
    assert [change.setting for change in found.changes] == ([Setting("dependencies", ("base<2",))] if helps else [])


def _configured(env: Mapping[str, str]) -> Observation:
    return SERVES if env.get("DB_DRIVER") == "sqlite" else fails("driver.Error: Database [] not configured")


def test_a_failure_without_a_reason_gets_the_values_of_an_example() -> None:
    advisor = FakeAdvisor(example=(".env.example", {"DB_DRIVER": "sqlite", "KEY": "change-me"}), dates=("2020-01-01",))
    project = Project(lambda settings, env: _configured(env), advisor)
    found = improve(project, Settings(), project.lines.append, {"KEY": "mine"})
    assert (found.trial.verdict.is_good, found.example, found.variables, found.changes) == (True, ".env.example", (), ())
    assert project.lines[-1] == "  with the values of .env.example, for this trial only"
    assert len(project.tries) == 2


@pytest.mark.parametrize(
    "seen",
    [
        fails("driver.Error: Database [] not configured"),
        fails("ConnectionRefusedError: [Errno 111] Connection refused"),
        SERVES,
    ],
)
def test_an_example_that_does_not_help_is_no_part_of_the_result(seen: Observation) -> None:
    project = Project(lambda settings, env: seen, FakeAdvisor(example=(".env.example", {"DB_DRIVER": "sqlite"})))
    found = improve(project, Settings(), project.lines.append)
    assert (found.example, found.variables) == ("", ())
    assert len(project.tries) == 1 + bool(project.lines)


def test_variables_get_a_value_for_the_trial_only() -> None:
    def run(settings: Settings, env: Mapping[str, str]) -> Observation:
        missing = next((name for name in ("SECRET_KEY", "API_TOKEN", "GIVEN") if name not in env), None)
        return SERVES if missing is None else fails(f"decouple.UndefinedValueError: {missing} not found.")

    project = Project(run)
    found = improve(project, Settings(), project.lines.append, {"GIVEN": "a value"})
    assert found.trial.verdict.is_good
    assert (found.variables, found.changes) == (("API_TOKEN", "SECRET_KEY"), ())
    assert found.with_placeholders == ""
    assert all(settings == Settings() for settings in project.tries)


def test_what_a_program_does_with_made_up_values_is_said() -> None:
    wants, ends = fails("decouple.UndefinedValueError: SECRET_KEY not found."), fails("Traceback (most recent call last):", "KeyError: 'x'")
    found = improve(Project(lambda settings, env: ends if env else wants), Settings(), print)
    assert "SECRET_KEY" in found.trial.headline
    assert found.with_placeholders == "fails: the command ended with status 1 after 0.0 s (KeyError: 'x')"


def test_a_server_that_is_missed_with_made_up_values_is_said_with_the_next_step() -> None:
    wants = fails("decouple.UndefinedValueError: SECRET_KEY not found.")
    error = 'psycopg.OperationalError: connection to server at "localhost", port 5432 failed: Connection refused'
    ends = fails("Traceback (most recent call last):", error)
    found = improve(Project(lambda settings, env: ends if env else wants), Settings(), print)
    assert "needs PostgreSQL at localhost:5432" in found.with_placeholders
    assert "Start that server" in found.with_placeholders


def test_a_variable_that_does_not_help_ends_it() -> None:
    project = Project(lambda settings, env: fails("decouple.UndefinedValueError: SECRET_KEY not found."))
    found = improve(project, Settings(), project.lines.append)
    assert not found.trial.verdict.is_good
    assert len(project.tries) == 2


def test_it_ends_although_every_change_uncovers_another() -> None:
    project = Project(lambda settings, env: no_module(f"m{len(settings.dependencies)}"))
    found = improve(project, Settings(), project.lines.append)
    assert not found.trial.verdict.is_good
    assert len(found.changes) == len(project.tries) - 1


@dataclass
class Importing(Project):
    """A project that is not built as long as packages of its imports are missing."""

    imports: tuple[str, ...] = ()
    unlisted: tuple[str, ...] = ()

    def __call__(self, settings: Settings, env: Mapping[str, str]) -> Round:
        missing = self.imports[len(settings.dependencies) :]
        if missing:
            raise MissingImports("the program would not start", missing[:2], hint="Add them.", unlisted=self.unlisted)
        return super().__call__(settings, env)


@pytest.mark.parametrize("helps", [True, False])
def test_the_package_that_a_step_lacks_is_added_once(helps: bool) -> None:
    class Stepping(Project):
        def __call__(self, settings: Settings, env: Mapping[str, str]) -> Round:
            if not (helps and settings.dependencies):
                raise StepLacksModule("the step failed", ("debug_toolbar",), hint="Add it.", unlisted=("django",))
            return super().__call__(settings, env)

    project = Stepping(lambda settings, env: SERVES)
    if helps:
        found = improve(project, Settings(), project.lines.append)
        assert [change.setting for change in found.changes] == [Setting("dependencies", ("django", "django-debug-toolbar"))]
    else:
        with pytest.raises(StepLacksModule):
            improve(project, Settings(), project.lines.append)


def test_a_step_that_fails_is_left_out_and_named() -> None:
    class Stepping(Project):
        def __call__(self, settings: Settings, env: Mapping[str, str]) -> Round:
            steps = [step.run[0] for step in settings.steps] if settings.steps is not None else ["a", "b", "c"]
            if failing := next((step for step in steps if step in "ac"), ""):
                text = f"Dockerfile, line 4: the step `{failing}` failed (exit status 1):\n  no\n  whole output: /log"
                raise FailedStep(text, hint="", others=tuple({"run": step} for step in steps if step != failing))
            return super().__call__(settings, env)

    project = Stepping(lambda settings, env: SERVES)
    (change,) = improve(project, Settings(), project.lines.append).changes
    assert change.setting == Setting("steps", ({"run": "b"},))
    assert change.reason.splitlines() == [
        f"Left out, since it fails in the image: Dockerfile, line 4: the step `{step}` failed (exit status 1): no" for step in "ac"
    ]
    with pytest.raises(FailedStep):
        improve(project, Settings(steps=(StepSettings(("a",)),)), project.lines.append)


def test_the_packages_of_imports_are_added_before_anything_runs() -> None:
    project = Importing(lambda settings, env: SERVES, imports=("yaml", "flask", "cv2"))
    found = improve(project, Settings(), project.lines.append)
    assert found.trial.verdict.is_good
    assert [settings.dependencies for settings in project.tries] == [("pyyaml", "flask", "opencv-python-headless")]
    assert found.changes[0].reason == "It imports yaml, which no package in the image has"


def test_a_package_of_an_import_is_added_to_what_nothing_lists() -> None:
    project = Importing(lambda settings, env: SERVES, imports=("yaml",), unlisted=("flask==2.0", "gunicorn"))
    improve(project, Settings(), project.lines.append)
    assert [settings.dependencies for settings in project.tries] == [("flask==2.0", "gunicorn", "pyyaml")]


@pytest.mark.parametrize("name", ["google", "_private"])
def test_an_import_whose_package_the_name_does_not_tell_is_an_error(name: str) -> None:
    project = Importing(lambda settings, env: SERVES, imports=("yaml", name))
    with pytest.raises(MissingImports):
        improve(project, Settings(), project.lines.append)


def test_what_an_ignore_file_leaves_out_is_included() -> None:
    class LeftOut(Project):
        def __call__(self, settings: Settings, env: Mapping[str, str]) -> Round:
            if settings.include != ("/store/",):
                raise MissingImports("the program would not start", (), (("include", ("/store/",)),), hint="Include it.")
            return super().__call__(settings, env)

    found = improve(LeftOut(lambda settings, env: SERVES), Settings(), lambda _: None)
    assert [change.setting for change in found.changes] == [Setting("include", ("/store/",))]


def test_a_missing_import_that_no_setting_brings_is_the_error_at_once() -> None:
    tries = []

    def attempt(settings: Settings, env: Mapping[str, str]) -> Round:
        tries.append(settings)
        raise MissingImports("the program would not start", (), hint="Make config.py before the build.")

    with pytest.raises(MissingImports):
        improve(attempt, Settings(), lambda _: None)
    assert len(tries) == 1


def test_an_import_whose_package_cannot_be_locked_is_the_error() -> None:
    project = Importing(lambda settings, env: SERVES, imports=("yaml",), unbuildable=lambda settings: bool(settings.dependencies))
    with pytest.raises(MissingImports):
        improve(project, Settings(), project.lines.append)


class WithoutRequirements(Project):
    """A project that nothing but its imports tells the packages of."""

    def __call__(self, settings: Settings, env: Mapping[str, str]) -> Round:
        if not settings.dependencies:
            imports = (
                ("yaml", "a.py, line 1"),
                ("yaml.nodes", "a.py, line 2"),
                ("google.cloud", "a.py, line 3"),
                ("haystack", "a.py, line 4"),  # another package than Django's, without Django
                ("flask", "b.py, line 1"),
            )
            raise NoRequirements("not a project", imports, hint="")
        return super().__call__(settings, env)


def test_the_packages_of_a_project_without_requirements_are_those_it_imports() -> None:
    project = WithoutRequirements(lambda settings, env: SERVES)
    found = improve(project, Settings(), project.lines.append)
    assert [(change.setting.value, change.reason) for change in found.changes] == [
        (("pyyaml",), "a.py, line 1, imports yaml"),
        (("flask",), "b.py, line 1, imports flask"),
    ]
    assert project.tries[-1].dependencies == ("pyyaml", "flask")


def test_says_why_the_packages_that_a_project_imports_cannot_be_locked() -> None:
    project = WithoutRequirements(lambda settings, env: SERVES, unbuildable=lambda settings: True)
    with pytest.raises(NoRequirements):
        improve(project, Settings(), project.lines.append)
    assert project.lines[-1] == "  not set: no version of it fits"


def test_an_index_that_cannot_be_reached_is_the_error() -> None:
    class Unreachable(WithoutRequirements):
        def __call__(self, settings: Settings, env: Mapping[str, str]) -> Round:
            super().__call__(settings, env)
            raise IndexUnavailable("the index cannot be reached", hint="Check the network.")

    with pytest.raises(IndexUnavailable):
        improve(Unreachable(lambda settings, env: SERVES), Settings(), lambda _: None)


def test_a_project_that_cannot_be_built_is_an_error() -> None:
    project = Project(lambda settings, env: SERVES, unbuildable=lambda settings: True)
    with pytest.raises(LockError):
        improve(project, Settings(), project.lines.append)


def test_a_setting_of_a_wrong_form_is_refused() -> None:
    advisor = FakeAdvisor(modules={"yaml": Setting("dependencies", ("not a requirement!",))})
    project = Project(lambda settings, env: no_module("yaml"), advisor)
    found = improve(project, Settings(), project.lines.append)
    (refused,) = found.rejected
    assert "not a requirement" in refused.result
    assert len(project.tries) == 1


def test_what_a_person_wrote_stays() -> None:
    settings = Settings(dependencies=("own",), packages=("libgl1",))
    project = Project(lambda settings, env: SERVES if len(settings.dependencies) > 1 else no_module("yaml"))
    improve(project, settings, project.lines.append)
    assert project.tries[-1].dependencies == ("own", "pyyaml")
    assert project.tries[-1].packages == ("libgl1",)


def test_a_package_that_a_library_asked_for_stays_whatever_is_missing_next() -> None:
    wanted = fails("[ERROR] Setting process name requires the granian[pname] extra")
    project = Project(
        lambda settings, env: wanted if not settings.dependencies else fails("Traceback (most recent call last):", "ValueError")
    )
    found = improve(project, Settings(), project.lines.append)
    assert [change.setting for change in found.changes] == [Setting("dependencies", ("granian[pname]",))]
    project = Project(lambda settings, env: wanted)
    found = improve(project, Settings(), project.lines.append)
    assert (found.changes, len(found.rejected)) == ((), 1)


FRONT = Change(Setting("assets", (AssetSettings(("npm", "run", "build"), "dist"),)), "it serves dist")


def test_the_first_changes_are_there_from_the_start() -> None:
    project = Project(lambda settings, env: SERVES)
    found = improve(project, Settings(), project.lines.append, first=[FRONT])
    assert found.changes == (FRONT,)
    assert [settings.assets for settings in project.tries] == [FRONT.setting.value]
    assert project.lines == ["  set assets: it serves dist"]


def test_the_first_changes_are_left_out_if_nothing_can_be_built_with_them() -> None:
    project = Project(lambda settings, env: SERVES, unbuildable=lambda settings: bool(settings.assets))
    found = improve(project, Settings(), project.lines.append, first=[FRONT])
    assert found.trial.verdict.is_good
    assert (found.changes, found.rejected) == ((), (Rejected(FRONT, "no version of it fits"),))


def test_a_driver_that_a_made_up_value_asks_for_is_no_setting() -> None:
    wants = fails('  File "<frozen os>", line 679, in __getitem__', "KeyError: 'DATABASE_URL'")
    project = Project(lambda settings, env: no_module("aiosqlite") if env else wants)
    found = improve(project, Settings(), project.lines.append)
    assert (found.changes, found.variables) == ((), ("DATABASE_URL",))
    assert "DATABASE_URL" in found.trial.headline


@pytest.mark.parametrize(("packages", "serves"), [(("asyncpg", "psycopg2-binary"), True), (("psycopg2-binary",), False)])
def test_a_made_up_database_has_the_driver_for_asyncio_that_the_image_has(packages: tuple[str, ...], serves: bool) -> None:
    wants = fails('  File "<frozen os>", line 679, in __getitem__', "KeyError: 'DATABASE_URL'")
    refused = fails("InvalidRequestError: The asyncio extension requires an async driver to be used. The loaded 'pysqlite' is not async.")

    def run(settings: Settings, env: Mapping[str, str]) -> Observation:
        return SERVES if env.get("DATABASE_URL", "").startswith("postgresql+asyncpg:") else refused if env else wants

    project = Project(run, FakeAdvisor(packages=packages))
    found = improve(project, Settings(), project.lines.append)
    assert found.trial.verdict.is_good == serves
    assert ("asyncio" in found.with_placeholders) != serves
    assert found.variables == ("DATABASE_URL",)


@pytest.mark.parametrize(
    ("name", "error", "start"),
    [
        (
            "SHOP_ADMINS",
            'pydantic_settings.sources.SettingsError: error parsing value for field "admins" from source "EnvSettingsSource"',
            "[]",
        ),
        ("BOT_TOKEN", "aiogram.utils.token.TokenValidationError: Token is invalid!", "1234567890:"),
        ("BOT_TOKEN", "telegram.error.InvalidToken: Invalid token", "1234567890:"),
    ],
)
def test_a_made_up_value_has_the_form_that_the_program_asks_for(name: str, error: str, start: str) -> None:
    wants = fails('  File "<frozen os>", line 679, in __getitem__', f"KeyError: {name!r}")
    project = Project(lambda settings, env: SERVES if env.get(name, "").startswith(start) else fails(error) if env else wants)
    assert improve(project, Settings(), project.lines.append).trial.verdict.is_good


def test_values_of_an_example_with_which_another_line_fails_are_wanted() -> None:
    first, second = (
        fails("Traceback (most recent call last):", f'  File "/app/bot.py", line {line}, in <module>', "InvalidURI: empty")
        for line in (3, 9)
    )
    project = Project(lambda settings, env: second if env else first, FakeAdvisor(example=(".env.example", {"TOKEN": "x"})))
    found = improve(project, Settings(), project.lines.append)
    assert (found.example, "line 9" in found.trial.seen.log) == (".env.example", True)


@pytest.mark.parametrize("level", ["INFO", "check-" + "0" * 40])
def test_a_variable_whose_name_tells_nothing_has_the_value_of_the_example(level: str) -> None:
    wants = fails('  File "<frozen os>", line 679, in __getitem__', "KeyError: 'LOG_LEVEL'")
    project = Project(lambda settings, env: SERVES if env.get("LOG_LEVEL") == level else fails("ValueError: a level") if env else wants)
    project.advisor = FakeAdvisor(example=(".env.example", {"LOG_LEVEL": "INFO", "PORT": "9"} if level == "INFO" else {}))
    assert improve(project, Settings(), project.lines.append).trial.verdict.is_good


def test_a_path_that_is_a_made_up_value_is_no_setting() -> None:
    wants = fails('  File "<frozen os>", line 679, in __getitem__', "KeyError: 'UPLOADS'")

    def run(settings: Settings, env: Mapping[str, str]) -> Observation:
        refused = fails(f"OSError: [Errno 30] Read-only file system: '/app/{env['UPLOADS']}'") if env else wants
        return SERVES if settings.state else refused

    project = Project(run)
    found = improve(project, Settings(), project.lines.append)
    assert (found.changes, found.variables) == ((), ("UPLOADS",))


def test_a_source_that_cannot_be_built_is_replaced_by_what_has_files() -> None:
    def run(settings: Settings, env: Mapping[str, str]) -> Observation:
        if not settings.replace:
            raise UnbuildableSource("far 1.0 cannot be compiled:\n  its output", replacements={"far": "far==1.1"})
        return SERVES

    project = Project(run)
    found = improve(project, Settings(), project.lines.append)
    assert found.trial.verdict.is_good
    assert [change.setting for change in found.changes] == [Setting("replace", {"far": "far==1.1"})]
    assert found.changes[0].reason == "far 1.0 cannot be compiled"


def test_a_package_of_another_list_is_set_as_that_has_it() -> None:
    def run(settings: Settings, env: Mapping[str, str]) -> Observation:
        if not settings.dependencies:
            raise MissingImports("the program would not start", (), (("dependencies", ("yaml~=1.0",)),), hint="Add it.")
        return SERVES

    project = Project(run)
    (change,) = improve(project, Settings(), project.lines.append).changes
    assert change.setting == Setting("dependencies", ("yaml~=1.0",))
    assert "another list of the project" in change.reason


def test_requirements_that_conflict_are_locked_with_the_version_that_was_tried() -> None:
    def run(settings: Settings, env: Mapping[str, str]) -> Observation:
        if "far" not in settings.replace:
            raise LockError("these requirements conflict", replacements={"far": "far==1.1"})
        if "near" not in settings.replace:
            raise LockError("others conflict", replacements={"near": "near==2"})
        return SERVES

    project = Project(run)
    changes = improve(project, Settings(), project.lines.append).changes
    assert [change.setting for change in changes] == [Setting("replace", {"far": "far==1.1"}), Setting("replace", {"near": "near==2"})]


def test_of_requirements_that_conflict_all_the_same_the_first_are_named() -> None:
    def run(settings: Settings, env: Mapping[str, str]) -> Observation:
        name = "others" if settings.replace else "these"
        raise LockError(f"{name} conflict", replacements={"far": "far==1.1"})

    project = Project(run)
    with pytest.raises(LockError, match="these conflict"):
        improve(project, Settings(), project.lines.append)
    assert project.lines[-1] == "  not set: others conflict"


def test_a_version_that_was_deleted_is_replaced_by_an_older_one() -> None:
    def run(settings: Settings, env: Mapping[str, str]) -> Observation:
        if not settings.replace:
            raise RemovedFiles("far-1.0.whl: answered 404 Not Found", {"far": "far<1.0"}, hint="Lock another version.")
        return SERVES

    project = Project(run)
    assert [change.setting for change in improve(project, Settings(), project.lines.append).changes] == [
        Setting("replace", {"far": "far<1.0"})
    ]


def test_a_package_without_a_file_is_replaced_by_what_has_one() -> None:
    def run(settings: Settings, env: Mapping[str, str]) -> Observation:
        if "far" not in settings.replace:
            error = LockError("far 1.0 has no file")
            error.replacements = {"far": "far==1.1", "near": "near==2.0"}
            raise error
        if "other" not in settings.replace:
            raise UnbuildableSource("other 1.0 cannot be compiled", replacements={"other": "other==1.1", "near": "near==3.0"})
        return SERVES

    found = improve(Project(run), Settings(), print)
    assert found.trial.verdict.is_good
    assert [change.reason for change in found.changes] == ["far 1.0 has no file", "other 1.0 cannot be compiled"]


@pytest.mark.parametrize("replacements", [{}, {"far": "far==1.1"}])
def test_a_source_that_nothing_replaces_is_the_error(replacements: dict[str, str]) -> None:
    def run(settings: Settings, env: Mapping[str, str]) -> Observation:
        raise UnbuildableSource("far cannot be compiled", replacements=replacements)

    project = Project(run)
    with pytest.raises(UnbuildableSource, match="far cannot be compiled"):
        improve(project, Settings(), project.lines.append)


def test_a_step_that_fails_leaves_its_last_words_with_the_change() -> None:
    serving = Project(lambda settings, env: SERVES)

    def attempt(settings: Settings, env: Mapping[str, str]) -> Round:
        if settings.assets:
            raise BuildError("`npm run build` failed (exit status 1):\n  ReferenceError: navigator\n  at main.js", hint="Set another node.")
        return serving(settings, env)

    (refused,) = improve(attempt, Settings(), lambda _: None, first=[FRONT]).rejected
    assert refused.result == "`npm run build` failed (exit status 1)"
    assert refused.output == ("  ReferenceError: navigator", "  at main.js", "  Set another node.")
