"""The prefixes of settings that come from the environment."""

import pytest

from shipwheel.project.entrypoint.module import read_module
from shipwheel.project.entrypoint.syntax import ModulePath


@pytest.mark.parametrize(
    "body",
    [
        "model_config = SettingsConfigDict(env_file='.env', env_prefix='ROOMS_')",
        "model_config = {'env_prefix': 'ROOMS_'}",
        "class Config:\n        env_prefix = 'ROOMS_'",
    ],
)
def test_finds_the_prefix_however_it_is_given(body: str) -> None:
    module = read_module(ModulePath("app.py", "app"), f"class Settings(BaseSettings):\n    {body}\n    key: str\n".encode())
    assert module is not None
    assert module.prefixes == (("Settings", "ROOMS_"),)


@pytest.mark.parametrize("body", ["model_config = SettingsConfigDict(env_prefix=PREFIX)", "env_file = '.env'", "pass"])
def test_a_class_without_a_constant_prefix_has_none(body: str) -> None:
    module = read_module(ModulePath("app.py", "app"), f"class Settings(BaseSettings):\n    {body}\n".encode())
    assert module is not None
    assert module.prefixes == ()
