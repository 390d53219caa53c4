"""The habits of real registries that differ from the specification or from one another, each with its public source.

A habit is played alone, on a registry that is otherwise like distribution 2.8 or the service that it is known from. Sources are named
as OWNER/REPOSITORY#NUMBER, an issue or a pull request.
"""

import msgspec

from shipwheel.testing.registry import Habits

__all__ = ["REAL_REGISTRIES", "RealRegistry"]


class RealRegistry(msgspec.Struct, frozen=True):
    """A registry that was seen to behave so.

    `habit` is for readers, `sources` say who has seen it. With `keeps_records`, it can hold what refers to an image.
    """

    name: str
    habit: str
    habits: Habits
    sources: tuple[str, ...] = ()
    keeps_records: bool = True


REAL_REGISTRIES = (
    RealRegistry("distribution-spec 1.1", "implements the specification", Habits()),
    RealRegistry("distribution 2.8", "has no referrers API", Habits(referrers=False)),
    RealRegistry(
        "GHCR",
        "answers 416 to a PATCH with a range and more than 4 MiB",
        Habits(referrers=False, most_chunk=4 << 20),
        ("ocx-sh/ocx#237",),
    ),
    RealRegistry(
        "Amazon ECR",
        "names the first chunk's Range for ever",
        Habits(range_stands_still=True, digest_header=False),
        ("aws/containers-roadmap#2831", "distribution/distribution#3792"),
    ),
    RealRegistry(
        "Artifact Registry",
        "takes no chunks; its uploads have other paths",
        Habits(chunks=False, upload_path="/artifacts-uploads"),
        ("dotnet/sdk-container-builds#287", "oras-project/rust-oci-client#175"),
    ),
    RealRegistry(
        "GitLab",
        "resolves the tag `sha256-…` itself, refuses unknown artifact types, and mounts with 401",
        Habits(referrers=False, digest_tags=True, artifacts=False, mount_refusal=401),
        ("oras-project/oras-go#1396", "ocx-sh/ocx#480", "estesp/manifest-tool#53"),
        keeps_records=False,
    ),
    RealRegistry(
        "Harbor 2.7",
        "answers 401 without a challenge to referrers",
        Habits(referrers=False, no_referrers=401),
        ("goharbor/harbor#18305",),
    ),
    RealRegistry(
        "Harbor 2.8",
        "lists referrers without saying so in OCI-Subject",
        Habits(subject_header=False),
        ("goharbor/harbor#18865",),
    ),
    RealRegistry(
        "Artifactory",
        "answers 406 to referrers, and 403 for a manifest that does not exist",
        Habits(referrers=False, no_referrers=406, absent=403),
        ("google/go-containerregistry#2026", "google/go-containerregistry#1691"),
    ),
    RealRegistry(
        "a redirecting mirror",
        "answers referrers with a page for humans",
        Habits(referrers=False, no_referrers=200),
        ("oras-project/oras-go#633",),
    ),
    RealRegistry(
        "Nexus",
        "leaves out Docker-Content-Digest",
        Habits(referrers=False, no_referrers=400, digest_header=False),
        ("distribution/distribution#3849",),
    ),
    RealRegistry(
        "Pulp before 2.15",
        "takes no blob in a PUT",
        Habits(referrers=False, puts=False),
        ("pulp/pulp_container#1274",),
    ),
    RealRegistry(
        "a registry that denies mounts",
        "answers 403 to a mount from a repository that the user may not read",
        Habits(mount_refusal=403),
        ("containerd/containerd#14086",),
    ),
    RealRegistry(
        "a proxy with a limit",
        "answers 413 to bodies of more than 5 MiB",
        Habits(referrers=False, most_body=5 << 20),
        ("bnema/gordon#58", "smol-machines/smolvm#436"),
    ),
)
"""Registries by their habits, the plain ones first."""
