"""What is left out by default, in comparison with the same rules as patterns of .gitignore."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pathspec import GitIgnoreSpec

from shipwheel.project.default_excludes import is_excluded_by_default

PATTERNS = """
    *.py[cod] *.egg-info *.egg .coverage .coverage.* Thumbs.db desktop.ini *.swp *~ .gitignore .gitattributes .gitmodules .dockerignore
    .github .gitlab-ci.yml .pre-commit-config.yaml .editorconfig .devcontainer Dockerfile* *.Dockerfile Containerfile*
    docker-compose*.y*ml compose.y*ml compose.*.y*ml /shipwheel.toml /pylock.toml /pylock.*.toml /uv.lock /poetry.lock /pdm.lock
    /Pipfile.lock /.shipwheel docker-bake.hcl
    """.split()  # noqa: SIM905
SPEC = GitIgnoreSpec.from_lines(PATTERNS)
PIECES = [*(piece for pattern in PATTERNS for piece in pattern.strip("/").replace("[cod]", "c").split("*") if piece), "a", ".", "y", "Main"]
NAMES = st.lists(st.sampled_from(PIECES), min_size=1, max_size=3).map("".join).filter(lambda name: name not in (".", ".."))


@given(st.lists(NAMES, min_size=1, max_size=3).map("/".join))
def test_leaves_out_what_the_patterns_match(path: str) -> None:
    assert is_excluded_by_default(path) == SPEC.match_file(path)


@pytest.mark.parametrize("path", ["main.py", "compose.py", "app/uv.lock", "app/pylock.dev.toml", "settings.yaml", "my-compose.yaml"])
def test_takes_the_app(path: str) -> None:
    assert not is_excluded_by_default(path)


@pytest.mark.parametrize("path", ["uv.lock", "pylock.dev.toml", "app/compose.prod.yml", "docker-compose.yaml", "a.pyc", ".github/ci.yml"])
def test_leaves_out_what_no_app_needs(path: str) -> None:
    assert is_excluded_by_default(path)
