"""Whole builds of a project whose Dockerfile says how it is deployed."""

import io
import json
import tarfile
from pathlib import Path

from support.project_tree import written

from shipwheel.oci.layout import read_layout
from shipwheel.testing.world import MINOR, World

DOCKERFILE = f"""
FROM python:{MINOR}-slim AS base
RUN apt-get update && apt-get install -y libfoo1 gcc libnowhere1 git
WORKDIR /code
COPY requirements/prod.txt ./
RUN pip install -r prod.txt tiny
COPY . .
COPY conf/app.ini /etc/shop/
COPY conf/app.ini /etc/ld.so.cache
ENV MODE=fast CONF=/code/conf/app.ini API_KEY=hidden
VOLUME /code/uploads
EXPOSE 5000
USER 1001
STOPSIGNAL SIGINT
HEALTHCHECK --interval=5s CMD curl -f http://localhost:5000/up || exit 1
WORKDIR /code/web
ENTRYPOINT ["/code/docker/entry.sh"]
CMD ["serve"]
"""
ENTRY = """#!/bin/sh
set -e
python manage.py tables
if [ "$1" = serve ]; then
  exec python main.py --port ${PORT:-5000}
fi
"""
FILES = {
    "docker/Dockerfile": DOCKERFILE,
    "docker/entry.sh": ENTRY,
    "requirements/prod.txt": "small==1.0\n",
    "web/manage.py": "",
    "web/main.py": "import small\nCONF = '/code/conf/app.ini'\n",
    "conf/app.ini": "",
}


def _names(layout: Path) -> dict[str, str]:
    """Return path -> target of a link, empty for anything else, of all entries in the only image's layers."""
    found: dict[str, str] = {}
    (image,) = read_layout(layout).images().images
    for layer in image.layers:
        data = (layout / "blobs" / "sha256" / layer.descriptor.digest.removeprefix("sha256:")).read_bytes()
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            found |= {entry.name.strip("/"): entry.linkname for entry in archive}
    return found


def test_an_image_does_what_the_dockerfile_says(world: World) -> None:
    project = written(world.root / "shop", FILES)
    built = world.build(project, "--platform", "linux/amd64")
    assert built.code == 0, built.err
    (image,) = read_layout(world.output(project)).images().images
    config = image.config_file.config
    assert (config.working_dir, config.user, config.stop_signal) == ("/app/web", "1001:1001", "SIGINT")
    assert (dict(config.exposed_ports), dict(config.volumes)) == ({"5000/tcp": {}}, {"/app/uploads": {}})
    assert config.cmd == ("python", "main.py", "--port", "5000")
    assert {"MODE=fast", "CONF=/app/conf/app.ini"} <= set(config.env)
    assert config.labels["io.shipwheel.health"] == "/up"
    names = _names(world.output(project))
    assert names["code"] == "/app"
    assert "etc/shop/app.ini" in names
    assert "not copied as in the Dockerfile, since the image has files of its own there: /etc/ld.so.cache" in built.err
    again = world.build(project, "--platform", "linux/amd64", "--json")
    assert json.loads(again.out)["images"][0]["digest"] == image.digest

    assert {"app/web/main.py", "usr/share/doc/libfoo1/copyright"} <= names.keys()
    assert any(name.endswith("/tiny.py") for name in names)
    for word in ("libnowhere1", "git", "API_KEY"):
        assert word in built.err
    assert "hidden" not in built.err + json.dumps(sorted(config.env))
    before = world.build(project, "--platform", "linux/amd64", "-q")
    assert (before.code, before.digest) == (0, built.digest)


def test_the_settings_cannot_replace_files_of_the_image(world: World) -> None:
    project = written(world.root / "shop", FILES)
    (project / "shipwheel.toml").write_text('copy = {"/etc/ld.so.cache" = "conf/app.ini"}\n')
    built = world.build(project, "--platform", "linux/amd64")
    assert built.code == 8
    assert "shop would replace files of its image by copies:\n  /etc/ld.so.cache, of " in built.err
    planned = world.run("plan", project, "--json")
    assert json.loads(planned.out)["copies"]["/etc/shop/app.ini"] == "conf/app.ini"
