"""The file for `docker buildx bake` beside a Dockerfile: https://docs.docker.com/build/bake/reference"""

import json
from collections.abc import Sequence

from shipwheel.made_files import head_for
from shipwheel.oci.reference import Reference
from shipwheel.platform import Platform

__all__ = ["bake_file"]


def bake_file(reference: Reference, platforms: Sequence[Platform]) -> str:
    """Return docker-bake.hcl: the image for all platforms under its name, and the image of developers for this machine."""
    name = f"{reference.name}:{reference.tag_or_latest}"
    # The image in the registry is the cache: what it has is not built.
    cache = '  cache-from = ["type=registry,ref=${TAG}"]\n  cache-to   = ["type=inline"]\n' if reference.registry is not None else ""
    return f"""{head_for("bake")}variable "TAG" {{
  default = {_text(name)}
}}

variable "USER_ID" {{
  default = "1000"
}}

variable "GROUP_ID" {{
  default = "1000"
}}

group "default" {{
  targets = ["production"]
}}

target "production" {{
  context    = "."
  target     = "production"
  platforms  = {_text(list(map(str, platforms)))}
  tags       = [TAG]
{cache}}}

target "development" {{
  context = "."
  target  = "development"
  tags    = [{_text(f"{reference.repository.rpartition('/')[2]}:dev")}]
  args    = {{ USER_ID = USER_ID, GROUP_ID = GROUP_ID }}
  output  = ["type=docker"]
}}
"""


def _text(value: object) -> str:
    """Return a value in HCL, whose strings and lists are JSON's, but for templates: `${` stands for itself only as `$${`."""
    return json.dumps(value).replace("${", "$${").replace("%{", "%%{")
