"""Conflicts in the user's own lines: explanations as uv prints them, and what is made of them."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipwheel.errors import LockError
from shipwheel.events import silent
from shipwheel.locking.diagnose import conflicts
from shipwheel.locking.diagnose.conflicts import conflict_lines, explain_conflict
from shipwheel.locking.diagnose.suggestions import Suggestion, UserRequirement, Working, loosened, specifiers
from shipwheel.locking.diagnose.uv_errors import resolution_error
from shipwheel.locking.synthetic import Synthetic
from shipwheel.locking.uv_output import Premise, parse_failure

NO_SOLUTION = "error: No solution found when resolving dependencies for split (markers: python_full_version == '3.11.*')\n  cause: "

EXPLANATIONS = {
    "two lines and the requirement of a package": (
        (
            "Because fastapi==0.110.0 depends on starlette>=0.36.3,<0.37.0 and your project depends on fastapi==0.110.0, we can conclude "
            "that your project depends on starlette>=0.36.3,<0.37.0.\n         And because your project depends on starlette>=0.38, we can "
            "conclude that your project's requirements are unsatisfiable."
        ),
        ["l1: fastapi==0.110.0", "  fastapi 0.110.0 requires starlette>=0.36.3,<0.37.0", "l2: starlette>=0.38"],
    ),
    "two requirements in one clause": (
        (
            "Because only the following versions of leaf are available:\n          leaf<=1.9\n      leaf>=2\n and small<=1.0 depends on "
            "leaf<2, we can conclude that small<=1.0 depends on leaf<=1.9.\n And because your project depends on leaf>1.9 and small<2, we "
            "can conclude that your project's requirements are unsatisfiable."
        ),
        ["l4: small<2", "  small <=1.0 requires leaf<2", "l3: leaf>1.9"],
    ),
    "all versions": (
        (
            "Because all versions of conflict depend on leaf>=7 and your project depends on conflict, we can conclude that your project "
            "depends on leaf>=7.\n And because your project depends on leaf<7, we can conclude that your project's requirements are "
            "unsatisfiable."
        ),
        ["l5: conflict", "  conflict requires leaf>=7", "l3: leaf>1.9"],
    ),
    "the user's own distribution": (
        (
            "Because streamlit==1.34.0 depends on numpy>=1.19.3,<2 and shop==1 depends on numpy>=2, we can conclude that shop==1 and "
            "streamlit==1.34.0 are incompatible.\n And because shop==1 depends on streamlit==1.34.0, we can conclude that shop==1 cannot be"
            " used.\n And because only shop==1 is available and your project depends on shop, we can conclude that your project's "
            "requirements are unsatisfiable."
        ),
        ["l6: streamlit==1.34.0", "  streamlit 1.34.0 requires numpy>=1.19.3,<2", "l7: numpy>=2"],
    ),
    "a chain": (
        (
            "Because b==1 depends on c<2 and a==1 depends on b==1, we can conclude that a==1 depends on c<2.\n And because your project "
            "depends on a==1 and c>=2, we can conclude that your project's requirements are unsatisfiable."
        ),
        ["l8: a==1", "  a 1 requires b==1", "  b 1 requires c<2", "l9: c>=2"],
    ),
}
REQUIREMENTS = [
    UserRequirement("fastapi", "fastapi==0.110.0", "l1"),
    UserRequirement("starlette", "starlette>=0.38", "l2"),
    UserRequirement("leaf", "leaf>1.9", "l3"),
    UserRequirement("small", "small<2", "l4"),
    UserRequirement("conflict", "conflict", "l5"),
    UserRequirement("streamlit", "streamlit==1.34.0", "l6"),
    UserRequirement("numpy", "numpy>=2", "l7"),
    UserRequirement("a", "a==1", "l8"),
    UserRequirement("c", "c>=2", "l9"),
]


@pytest.mark.parametrize("name", EXPLANATIONS)
def test_tells_a_conflict_in_the_users_lines(name: str) -> None:
    explanation, expected = EXPLANATIONS[name]
    lines, names = conflict_lines(parse_failure(NO_SOLUTION + explanation).premises, REQUIREMENTS, "shop")
    assert sorted(lines) == sorted(expected)
    assert lines[0] == expected[0]
    assert set(names) <= {item.name for item in REQUIREMENTS}


@pytest.mark.parametrize("premises", [(), (Premise("b", "==1", "c"),), (Premise("shipwheel-lock", "", "a"),)])
def test_tells_nothing_without_a_line_of_the_user_and_a_reason(premises: tuple[Premise, ...]) -> None:
    assert conflict_lines(premises, REQUIREMENTS)[0] == []


def unused(_: Sequence[str]) -> Sequence[Suggestion]:
    raise AssertionError("no suggestion is tried")


NOT_FOUND = f"{NO_SOLUTION}Because c was not\n found in the package registry and your project depends on c, we can conclude that it fails."


def test_names_the_lines_whose_packages_no_index_has() -> None:
    error = explain_conflict(resolution_error(parse_failure(NOT_FOUND), "r.txt", {}), REQUIREMENTS, "", unused, silent)
    assert error.message == "r.txt cannot be locked: not found on the package index: c (l9)"
    assert "spelling" in error.hint
    assert not error.another_python_may_help


@pytest.mark.parametrize(("name", "meant"), [("reqeusts", "requests"), ("numpi", "numpy"), ("flaks", "flask"), ("yaml", "pyyaml")])
def test_asks_whether_a_common_package_was_meant(name: str, meant: str) -> None:
    failure = parse_failure(NOT_FOUND.replace(" c ", f" {name} ").replace(" c,", f" {name},"))
    error = explain_conflict(resolution_error(failure, "r.txt", {}), [UserRequirement(name, name, "l1")], "", unused, silent)
    assert error.hint.startswith(f"Did you mean {meant}")


def test_does_not_call_a_package_missing_if_the_index_refused_access() -> None:
    stderr = f"{NOT_FOUND}\n\nhint: An index could not be queried due to a lack of valid authentication credentials (401 Unauthorized)\n"
    error = resolution_error(parse_failure(stderr), "r.txt", {})
    assert explain_conflict(error, REQUIREMENTS, "", lambda _: (), silent).hint == error.hint
    assert "password" in error.hint


@pytest.mark.parametrize(
    ("reason", "needs_rust"),
    [
        ("Rust not found, installing into a temporary directory", True),
        ("error: can't find Rust compiler", True),
        ("cannot trust it", False),
    ],
)
def test_a_build_that_looks_for_rust_is_told_what_to_state(reason: str, needs_rust: bool) -> None:
    stderr = f"error: Failed to build `a @ file:///a`\n  cause: The build backend returned an error\n         [stderr]\n         {reason}\n"
    error = resolution_error(parse_failure(stderr), "r.txt", {})
    assert ("needs Rust" in error.hint) == needs_rust


def test_returns_errors_of_other_kinds_as_they_are() -> None:
    for error in (LockError("other"), resolution_error(parse_failure("error: Failed to build `a`"), "r.txt", {})):
        assert explain_conflict(error, REQUIREMENTS, "", unused, silent) is error


@given(st.text(max_size=300))
def test_survives_any_text(text: str) -> None:
    parse_failure(text)
    failure = parse_failure(f"{NO_SOLUTION}Because {text} depends on {text} and your project depends on a, we can conclude")
    conflict_lines(failure.premises, REQUIREMENTS)


def test_loosens_one_requirement() -> None:
    texts = ["Fast.API[all]>=1 ; python_version > '3'", "numpy~=1.0", "x @ https://index.example/x.whl", "plain"]
    made = loosened(Synthetic("3.11", "x"), texts, "fast-api")
    assert made.dependencies == ("Fast.API[all] ; python_version > '3'", *texts[1:])
    assert specifiers(texts) == {"fast-api": ">=1", "numpy": "~=1.0"}


def test_sets_what_changes_least(monkeypatch: pytest.MonkeyPatch) -> None:
    synthetic = Synthetic("3.11", "x")
    tried = [Suggestion(f"drop it from {name}", synthetic, None, name) for name in ("requests", "urllib3")]
    found = [Working(each, each.advice, {each.name: now}) for each, now in zip(tried, ("2.32.3", "1.25.11"), strict=True)]
    monkeypatch.setattr(conflicts, "try_suggestions", lambda *_: found)
    requirements = [UserRequirement("requests", "requests==2.22.0", "l1"), UserRequirement("urllib3", "urllib3==1.26.5", "l2")]
    error = resolution_error(parse_failure(f"{NO_SOLUTION}Because a and b, we can conclude"), "r.txt", {})
    assert explain_conflict(error, requirements, "", lambda _: tried, silent).replacements == {"urllib3": "urllib3==1.25.11"}


def test_names_the_package_whose_metadata_cannot_be_read() -> None:
    text = f"{NO_SOLUTION}Because pandas==0.24.2 has invalid metadata and your project depends on pandas==0.24.2, we can conclude"
    error = explain_conflict(resolution_error(parse_failure(text), "r.txt", {}), [], "", lambda _: (), silent)
    assert error.summary == "r.txt cannot be locked: the metadata of pandas 0.24.2 cannot be read"
