"""The report of a start as one HTML page with a flame chart of the imports.

Names come from the image, so every text is escaped, and a Content-Security-Policy lets nothing run but the page's own script, by its hash.
"""

import base64
import hashlib
import html
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.resources import files
from typing import Any

from shipwheel.startup.report import StartupReport
from shipwheel.startup.spans import APPLICATION, INTERPRETER, LIBRARY, NO_FILE, OTHER, Span
from shipwheel.startup.text import notes_of, parts_of

__all__ = ["to_page"]

_MAX_ROWS = 100
_MIN_SPAN_US = 50
"""Shorter imports are not in the chart: they would be thousands, and too thin to see."""

_HINT = "Point at an import, or move with the arrow keys; Enter or a click enlarges it, Escape shows all. The dashed line: it is ready."


def to_page(report: StartupReport, project: str) -> str:
    """Return the whole page."""
    style, script = (files("shipwheel.startup").joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    policy = f"default-src 'none'; base-uri 'none'; form-action 'none'; script-src {_source(script)}; style-src {_source(style)}"
    title = html.escape(f"Start of {project}")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<h1>{title}</h1>
{"".join(f"<p>{html.escape(line)}</p>" for line in (report.headline, *notes_of(report)))}
<h2>Imports over time</h2>
<div id="detail" aria-live="polite"></div>
<p><button id="reset" type="button">Show all</button></p>
<div id="chart" tabindex="0" role="application" aria-label="Flame chart of the imports: arrow keys, Enter, Escape"></div>
{"".join(_tables(report))}
<script type="application/json" id="data">{_embedded(_chart(report))}</script>
<script>{script}</script>
</body>
</html>
"""


def _source(text: str) -> str:
    """Return an inline script or style as a Content-Security-Policy allows it (CSP Level 3, hash-source)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _embedded(document: Any) -> str:
    """Return JSON without the characters that could end its element (HTML, 4.12.1.3)."""
    text = json.dumps(document, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _chart(report: StartupReport) -> dict[str, Any]:
    texts: dict[str, int] = {}

    def number(text: str) -> int:
        return texts.setdefault(text, len(texts))

    lanes = [
        {"pid": lane.pid, "command": lane.command, "spans": [_row(span, number) for span in _long(lane.spans)]} for lane in report.lanes
    ]
    return {
        "ready": round(report.ready * 1e6),
        "application": APPLICATION,
        "plain": [LIBRARY, OTHER, NO_FILE, INTERPRETER],
        "hint": _HINT,
        "lanes": lanes,
        "texts": list(texts),
    }


def _long(spans: Iterable[Span]) -> Iterator[Span]:
    return (span for span in spans if span.total >= _MIN_SPAN_US)


def _row(span: Span, number: Callable[[str], int]) -> list[Any]:
    children = [_row(child, number) for child in _long(span.children)]
    return [span.name, number(span.group), number(span.file), span.start, span.end, children]


def _tables(report: StartupReport) -> Iterator[str]:
    share = report.ready or 1.0
    parts = [(f"{time:.3f}", f"{100 * time / share:.0f}", name) for name, time in parts_of(report)]
    yield _table("Where the time goes", ("s", "%", ""), parts)
    groups = [(f"{it.seconds:.3f}", f"{100 * it.seconds / share:.0f}", f"{it.name} {it.version}", str(it.modules)) for it in report.groups]
    yield _table("Imports by package", ("s", "%", "package", "modules"), groups)
    modules = [(f"{it.own:.3f}", f"{it.total:.3f}", it.name, it.group) for it in report.modules]
    yield _table("Modules by their own code", ("s, itself", "s, with imports", "module", "package"), modules)
    unused = [(f"{it.size / 1e6:.2f}", it.package, it.path or "all of it", str(it.modules)) for it in report.unused_packages]
    unused += [(f"{it.size / 1e6:.2f}", it.package, it.path, str(it.modules)) for it in report.unused_modules]
    yield _table("Never imported", ("MB", "package", "modules", "number"), unused)


def _table(heading: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table; a column of numbers is aligned at the right."""
    if not rows:
        return ""
    is_number = [all(row[at].replace(".", "").isdigit() for row in rows) for at in range(len(columns))]

    def cells(kind: str, texts: Sequence[str]) -> str:
        return "".join(
            f"<{kind}{' class=number' if number else ''}>{html.escape(text)}</{kind}>"
            for text, number in zip(texts, is_number, strict=True)
        )

    lines = "".join(f"<tr>{cells('td', row)}</tr>\n" for row in rows[:_MAX_ROWS])
    return f"<h2>{heading}</h2>\n<table>\n<tr>{cells('th', columns)}</tr>\n{lines}</table>\n"
