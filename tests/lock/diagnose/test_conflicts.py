"""uv's explanations, as it gave them, in the user's own lines."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipwheel.errors import LockError
from shipwheel.events import silent
from shipwheel.lock.diagnose.conflicts import Asking, Way, chain, loosened, pins, refused
from shipwheel.lock.diagnose.uv_errors import UNKNOWN
from shipwheel.lock.synthetic import Synthetic

SPLIT = "No solution found when resolving dependencies for split (markers: python_full_version == '3.11.*')\n  cause: "

SAID = {
    "two lines and what one wants": (
        (
            "Because fastapi==0.110.0 depends on starlette>=0.36.3,<0.37.0 and your project depends on fastapi==0.110.0, we can conclude "
            "that your project depends on starlette>=0.36.3,<0.37.0.\n         And because your project depends on starlette>=0.38, we can "
            "conclude that your project's requirements are unsatisfiable."
        ),
        ["l1: fastapi==0.110.0", "  fastapi 0.110.0 wants starlette>=0.36.3,<0.37.0", "l2: starlette>=0.38"],
    ),
    "two requirements in one clause": (
        (
            "Because only the following versions of leaf are available:\n          leaf<=1.9\n      leaf>=2\n and small<=1.0 depends on "
            "leaf<2, we can conclude that small<=1.0 depends on leaf<=1.9.\n And because your project depends on leaf>1.9 and small<2, we "
            "can conclude that your project's requirements are unsatisfiable."
        ),
        ["l4: small<2", "  small <=1.0 wants leaf<2", "l3: leaf>1.9"],
    ),
    "all versions": (
        (
            "Because all versions of conflict depend on leaf>=7 and your project depends on conflict, we can conclude that your project "
            "depends on leaf>=7.\n And because your project depends on leaf<7, we can conclude that your project's requirements are "
            "unsatisfiable."
        ),
        ["l5: conflict", "  conflict wants leaf>=7", "l3: leaf>1.9"],
    ),
    "the user's own distribution": (
        (
            "Because streamlit==1.34.0 depends on numpy>=1.19.3,<2 and shop==1 depends on numpy>=2, we can conclude that shop==1 and "
            "streamlit==1.34.0 are incompatible.\n And because shop==1 depends on streamlit==1.34.0, we can conclude that shop==1 cannot be"
            " used.\n And because only shop==1 is available and your project depends on shop, we can conclude that your project's "
            "requirements are unsatisfiable."
        ),
        ["l6: streamlit==1.34.0", "  streamlit 1.34.0 wants numpy>=1.19.3,<2", "l7: numpy>=2"],
    ),
    "a chain": (
        (
            "Because b==1 depends on c<2 and a==1 depends on b==1, we can conclude that a==1 depends on c<2.\n And because your project "
            "depends on a==1 and c>=2, we can conclude that your project's requirements are unsatisfiable."
        ),
        ["l8: a==1", "  a 1 wants b==1", "  b 1 wants c<2", "l9: c>=2"],
    ),
}
ASKING = [
    Asking("fastapi", "fastapi==0.110.0", "l1"),
    Asking("starlette", "starlette>=0.38", "l2"),
    Asking("leaf", "leaf>1.9", "l3"),
    Asking("small", "small<2", "l4"),
    Asking("conflict", "conflict", "l5"),
    Asking("streamlit", "streamlit==1.34.0", "l6"),
    Asking("numpy", "numpy>=2", "l7"),
    Asking("a", "a==1", "l8"),
    Asking("c", "c>=2", "l9"),
]


@pytest.mark.parametrize("name", SAID)
def test_the_chain_that_matters(name: str) -> None:
    said, wanted = SAID[name]
    links, names = chain(SPLIT + said, ASKING, "shop")
    assert sorted(links) == sorted(wanted)
    assert links[0] == wanted[0]
    assert set(names) <= {item.name for item in ASKING}


@pytest.mark.parametrize("text", ["", "Because nothing was found in the package registry", "No solution found: your project depends on x"])
def test_what_cannot_be_said_so_stays_as_it_is(text: str) -> None:
    assert chain(text, ASKING)[0] == []


def test_a_name_that_the_index_does_not_have_needs_no_other_python() -> None:
    error = LockError("r.txt cannot be locked: Because c was not found in the package registry", hint=UNKNOWN)
    error.explanation = "No solution found:\n Because c was not\n found in the package registry and your project depends on c, …"

    def ways(_: Sequence[str]) -> Sequence[Way]:
        raise AssertionError("nothing is tried")

    told = refused(error, ASKING, "", ways, silent)
    assert told.message == "r.txt cannot be locked: not found on the package index: c (l9)"
    assert "spelled" in told.hint
    assert not told.names_python
    error.hint = "Check the index's user name and password"
    assert refused(error, ASKING, "", lambda _: (), silent).hint == error.hint, "it was not asked with the right to be told"


@given(st.text(max_size=300))
def test_any_text_is_survived(text: str) -> None:
    chain(text, ASKING)
    chain(f"Because {text} depends on {text} and your project depends on a, we can conclude", ASKING)


def test_one_requirement_left_open() -> None:
    texts = ["Fast.API[all]>=1 ; python_version > '3'", "numpy~=1.0", "x @ https://index.example/x.whl", "plain"]
    made = loosened(Synthetic("3.11", "x"), texts, "fast-api")
    assert made.dependencies == ["Fast.API[all] ; python_version > '3'", *texts[1:]]
    assert pins(texts) == {"fast-api": ">=1", "numpy": "~=1.0"}
