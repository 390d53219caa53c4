"""Projects that are no servers by themselves: somebody else's runtime calls their functions, or they are described for development only."""

import re

import msgspec

from shipwheel.lazy_pattern import lazy_pattern
from shipwheel.project.entrypoint.evidence import Evidence
from shipwheel.project.entrypoint.scan import Scan

__all__ = ["NearMiss", "find_near_miss"]

_LAMBDA = lazy_pattern(
    r"^(?:async )?def (lambda_handler|handler|main|\w+_handler)\(\s*_?event\b[^,)]*,\s*_?(?:context|ctx)\b", re.MULTILINE
)
_MAX_FILES = 200


class NearMiss(msgspec.Struct, frozen=True):
    """The reason why a project has no command, a clause, and the next step, sentences."""

    reason: str
    hint: str


def find_near_miss(evidence: Evidence, scan: Scan) -> NearMiss | None:
    """Return why a project has no command, if that is known."""
    finders = (_azure_functions, _aws_lambda, _development_ini, _langgraph, _scrapy)
    return next((found for find in finders if (found := find(evidence, scan)) is not None), None)


def _aws_lambda(evidence: Evidence, scan: Scan) -> NearMiss | None:
    for module in scan.modules[:_MAX_FILES]:
        if (match := _LAMBDA.search(evidence.read_text(module.file))) is not None:
            target = f"{module.name}.{match[1]}"
            return NearMiss(
                f"{module.file} has a handler of AWS Lambda, {match[1]}, which Lambda calls, and nothing that listens",
                f'For an image that Lambda runs, set command = ["python", "-m", "awslambdaric", "{target}"] and'
                ' dependencies = ["awslambdaric"]; anywhere else it needs a web server that calls the handler.',
            )
    return None


def _azure_functions(evidence: Evidence, _scan: Scan) -> NearMiss | None:
    if not (evidence.has("azure-functions") and evidence.has_file("host.json")):
        return None
    return NearMiss(
        "host.json describes Azure Functions, which Azure's own host calls, and nothing listens",
        "They need Azure's image with that host. If they wrap a web application, set `command` to a server that runs it.",
    )


def _development_ini(evidence: Evidence, scan: Scan) -> NearMiss | None:
    if scan.pastedeploy or not evidence.has("pyramid") or not evidence.has_file("development.ini"):
        return None
    return NearMiss(
        "development.ini is for developing, since its debugger runs what a visitor types, and there is no production.ini",
        "Write a production.ini: development.ini without pyramid_debugtoolbar, and with listen = *:6543.",
    )


def _langgraph(evidence: Evidence, _scan: Scan) -> NearMiss | None:
    if not evidence.has_file("langgraph.json"):
        return None
    return NearMiss(
        "langgraph.json describes graphs, which LangGraph's own server runs, and nothing listens",
        'For its development server, set command = ["langgraph", "dev", "--host", "0.0.0.0", "--no-browser"], ports = [2024] and'
        ' dependencies = ["langgraph-cli[inmem]"]; in production they need the image that `langgraph build` makes, or a web application.',
    )


def _scrapy(evidence: Evidence, _scan: Scan) -> NearMiss | None:
    if evidence.has("scrapy") or not evidence.has_file("scrapy.cfg"):
        return None
    return NearMiss(
        "scrapy.cfg describes a Scrapy project, and its requirements do not name scrapy",
        'Add scrapy to them, or set dependencies = ["scrapy"].',
    )
