"""Files that are secrets stay out of the image, tokens in the app's own files stop the build, and ordinary projects meet neither."""

from pathlib import Path

import pytest
from support.planted_secrets import private_key, secret_files, tokens
from support.project_tree import written

from shipwheel.project.app_tree import AppTree, list_app
from shipwheel.project.secret_files import SecretRules, token_error

REPOSITORY = Path(__file__).parents[2]

STARTPROJECT = """\
# SECURITY WARNING: keep the secret key used in production secret!
SECRET_KEY = 'django-insecure-w3@0v8^%x1(k2p!a7=s9d4f6g5h-j8k0l1q2w3e4r5t6y7'
DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': BASE_DIR / 'db.sqlite3'}}
"""

ORDINARY = {
    "shop/settings.py": STARTPROJECT,
    ".env.example": "SECRET_KEY=changethis\nPOSTGRES_PASSWORD=changethis\n",
    "env.sample": "TOKEN=\n",
    "prod.env.template": "TOKEN=\n",
    "config/secrets.example.yml": "key: x\n",
    "infra/example.tfvars": "region = 1\n",
    "client_secret.sample.json": '{"client_secret": "paste yours here"}',
    "front/.npmrc": "save-exact=true\n",
    "front/.yarnrc.yml": "nodeLinker: node-modules\n",
    "token.json": '{"name": "GLD", "decimals": 18}',
    "credentials.json": '{"users": ["ann", "bob"]}',
    "config.json": '{"auth": {"enabled": true}}',
    "nginx.conf": "server { listen 80; }\n",
    "alembic/env.py": "import os\n",
    "environment.yml": "name: shop\n",
    "secrets.py": "def token_hex(): ...\n",
    "shop/tokens.py": "TOKEN = 1\n",
    "keys.pub": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI shop@example\n",
    "ca.pem": "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
    "database.py": 'URL = "postgresql+psycopg://shop:shop@localhost:5432/shop"\n',
    ".flaskenv": "FLASK_APP=shop\n",
    "static/app.min.js": "!function(e){var t='" + "aB3" * 60 + "'}();\n",
}


def _paths(tree: AppTree) -> set[str]:
    return {file.path for file in tree.files}


def test_files_that_are_secrets_stay_out_and_are_named(tmp_path: Path) -> None:
    planted = secret_files()
    tree = list_app(written(tmp_path, {"main.py": "", **planted}))
    assert _paths(tree) == {"main.py"}
    assert tree.tokens == ()
    named = tree.secrets
    assert all(path in named or any(path.startswith(entry) for entry in named if entry.endswith("/")) for path in planted)


def test_an_ordinary_project_is_taken_as_it_is(tmp_path: Path) -> None:
    tree = list_app(written(tmp_path, ORDINARY))
    assert _paths(tree) == set(ORDINARY)
    assert (tree.secrets, tree.tokens) == ((), ())


@pytest.mark.parametrize("folder", sorted([*(REPOSITORY / "examples").iterdir(), *(REPOSITORY / "tests" / "apps").iterdir()]))
def test_the_example_apps_have_no_secrets(folder: Path) -> None:
    tree = list_app(folder)
    assert tree.files
    assert (tree.secrets, tree.tokens) == ((), ())


@pytest.mark.parametrize("name", tokens())
def test_a_token_in_the_apps_own_files_is_reported_with_its_place(tmp_path: Path, name: str) -> None:
    token = tokens()[name]
    tree = list_app(written(tmp_path, {"shop/config.py": f"import os\n\nKEY = '{token}'\n"}))
    assert [(found.path, found.line) for found in tree.tokens] == [("shop/config.py", 3)]
    error = token_error(tree.tokens)
    assert "shop/config.py, line 3" in error.message
    assert token not in error.message + error.hint
    assert "exclude" in error.hint and "allow-secrets" in error.hint


@pytest.mark.parametrize(
    "path", ["tests/test_api.py", "shop/test_api.py", "tests/fixtures/hook.json", "docs/setup.txt", "README.md", "settings.example.py"]
)
def test_a_test_or_a_page_with_a_token_is_left_out(tmp_path: Path, path: str) -> None:
    token = tokens()["GitHub"]
    tree = list_app(written(tmp_path, {"main.py": "", path: f"\n{token}\n"}))
    assert _paths(tree) == {"main.py"}
    assert tree.tokens == ()
    assert tree.secrets == (f"{path} (line 2: a GitHub token)",)


def test_a_key_of_a_test_is_left_out_and_its_certificate_stays(tmp_path: Path) -> None:
    tree = list_app(written(tmp_path, {"tests/certs/key.pem": private_key(), "tests/certs/ca.pem": "-----BEGIN CERTIFICATE-----\n"}))
    assert (_paths(tree), tree.secrets) == ({"tests/certs/ca.pem"}, ("tests/certs/key.pem",))


def test_takes_what_the_user_allows(tmp_path: Path) -> None:
    token = tokens()["Stripe"]
    files = {"demo/key.pem": private_key(), ".env": "A=1", ".aws/config": "x", "shop.py": token, "other/key.pem": private_key(1)}
    tree = list_app(written(tmp_path, files), secret_rules=SecretRules(["/demo/key.pem", ".env", ".aws/", "shop.py"]))
    assert _paths(tree) == set(files) - {"other/key.pem"}
    assert (tree.secrets, tree.tokens) == (("other/key.pem",), ())


def test_a_script_of_its_own_is_inspected_too(tmp_path: Path) -> None:
    root = written(tmp_path, {"tool.py": f"KEY = '{tokens()['Stripe']}'\n", ".env": "A=1"})
    tree = list_app(root, only=["tool.py", ".env"])
    assert ([token.label for token in tree.tokens], tree.secrets) == (["tool.py, line 1: a Stripe key"], (".env",))


def test_a_virtual_environment_named_like_a_secret_is_none(tmp_path: Path) -> None:
    tree = list_app(written(tmp_path, {"main.py": "", "shop.env/pyvenv.cfg": "", "shop.env/lib/x.py": ""}))
    assert (_paths(tree), tree.secrets) == ({"main.py"}, ())


def test_a_text_of_empty_lines_is_read_in_one_pass(tmp_path: Path) -> None:
    files = {
        "data.txt": "\n" * 900_000,
        "shop.conf": "\n" * 900_000 + "  PrivateKey = x\n",
        "more.in": "\n" * 900_000 + " -i https://a:b@c/\n",
    }
    tree = list_app(written(tmp_path, files))
    assert (_paths(tree), tree.secrets) == ({"data.txt"}, ("more.in", "shop.conf"))
