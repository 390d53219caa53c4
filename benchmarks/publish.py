"""Write the figures of the newest committed results into both READMEs and the page on compiling, and a timeline as a chart.

    python benchmarks/publish.py

The text between the two marks of each page is replaced; a part that the result does not have is left out.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from timeline_chart import chart

__all__ = ["COMPILING", "PAGES", "compiled", "newest", "published"]

HERE = Path(__file__).parent
BEGIN, END = "<!-- measured: `python benchmarks/publish.py` writes this -->", "<!-- end of what was measured -->"

CHART = "FastAPI app, first build and push, amd64 + arm64"

Result = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Words:
    """The words of one language."""

    app: str
    pair: str
    large: str
    steps: Mapping[str, str]
    second: str
    large_peer: str
    seconds: str
    machine: str
    chart: str
    memory: str


COMMON = ("cold", "no-op", "one line edited", "one dependency changed")

ENGLISH = Words(
    app="FastAPI app, {wheels} wheels, linux/amd64",
    pair="the same, amd64 + arm64",
    large="Langchain-Chatchat, linux/amd64",
    steps={
        "cold": "first build, base image cached",
        "no-op": "nothing changed",
        "one line edited": "one line changed",
        "one dependency changed": "one dependency changed",
    },
    second="BuildKit, arm64 under qemu",
    large_peer="BuildKit with pip",
    seconds="{} s",
    machine="Build and push on {cores} cores, medians of {runs} runs; [all measurements](benchmarks/results/{page}).",
    chart="The first build for both platforms, by what it does at a time: [how to record yours](docs/timeline.md).",
    memory="Langchain-Chatchat's first build for both platforms holds at most {tree} MB of memory, {process} MB in its largest process.",
)

CHINESE = Words(
    app="FastAPI 应用，{wheels} 个 wheel，linux/amd64",
    pair="同一应用，amd64 + arm64",
    large="Langchain-Chatchat，linux/amd64",
    steps={
        "cold": "首次构建（基础镜像已缓存）",
        "no-op": "没有改动",
        "one line edited": "改一行代码",
        "one dependency changed": "改一个依赖",
    },
    second="BuildKit（arm64 由 qemu 模拟）",
    large_peer="BuildKit 加 pip",
    seconds="{} 秒",
    machine="{cores} 核机器上构建并推送，取 {runs} 次的中位数；[全部测量结果（英文）](benchmarks/results/{page})。",
    chart="首次构建两个平台时，各项工作的时间分布；[怎样记录自己的构建（英文）](docs/timeline.md)。",
    memory="首次为两个平台构建 Langchain-Chatchat，内存峰值 {tree} MB，其中最大的进程 {process} MB。",
)

PAGES = {"README.md": ENGLISH, "README.zh-CN.md": CHINESE}
COMPILING = "docs/how-to/compiling.md"


def newest(part: str = "") -> Path:
    """Return the newest result; that of a part which is measured by itself ends with its name."""
    return max(HERE.glob(f"results/[0-9]*-[0-9][0-9]{part and f'-{part}'}.json"), key=lambda path: path.stem)


def published(text: str, result: Result, words: Words, name: str) -> str:
    """Return a README's text with a result's figures. `name` is that of the result, without a suffix."""
    return _replaced(text, _lines(result, words, name))


def compiled(text: str, result: Result, name: str) -> str:
    """Return the text of the page on compiling with a result's figures."""
    return _replaced(text, _compiled_lines(result, name))


def _replaced(text: str, lines: Iterator[str]) -> str:
    before, _, rest = text.partition(f"{BEGIN}\n")
    _, _, after = rest.partition(f"{END}\n")
    if not after:
        raise SystemExit(f"a page lacks its marks:\n{BEGIN}\n{END}")
    return f"{before}{BEGIN}\n\n{chr(10).join(lines)}\n\n{END}\n{after}"


def _compiled_lines(result: Result, name: str) -> Iterator[str]:
    yield "| seconds of the clock (of the processor) | amd64 | arm64 | arm64 by pip, emulated | times the processor's | load |"
    yield "|---|---:|---:|---:|---:|---:|"
    for case, found in result["sections"]["compile"].items():
        own, foreign, peer = (_seconds(found[key]) if key in found else "" for key in ("amd64", "arm64", "pip"))
        more = "more than " if found["limited"] else ""
        times = f"{more}{found['pip']['cpu'] / found['arm64']['cpu']:.0f}" if peer else ""
        yield f"| {case} | {own} | {foreign} | {more if peer else ''}{peer} | {times} | {found['load']} |"
    yield ""
    yield f"One run of each on {result['cores']} cores. The load is the machine's meanwhile, the builds' own included: the clock shows"
    yield f"other work, the processor hardly. [How it was measured](../../benchmarks/results/{name}.md). All were imported in their images."


def _seconds(cost: Mapping[str, float]) -> str:
    return f"{cost['s']:.0f} ({cost['cpu']:.0f})" if cost["cpu"] >= 10 else f"{cost['s']:.1f} ({cost['cpu']:.1f})"


def _lines(result: Result, words: Words, name: str) -> Iterator[str]:
    app, pair, large = (result["sections"].get(key) for key in ("app", "pair", "large"))
    peers = [peer for peer in ("BuildKit", "buildah") if peer in app["steps"]["cold"]]
    yield from _table(words, words.app.format(wheels=app["wheels"]), ["shipwheel", *peers], app["steps"], ["shipwheel", *peers])
    if pair:
        yield ""
        yield from _table(words, words.pair, ["shipwheel", words.second], pair["steps"], ["shipwheel", "BuildKit"])
    if large and "BuildKit" in large["steps"]:
        yield ""
        ours, theirs = large["steps"]["linux/amd64"], large["steps"]["BuildKit"]
        steps = {step: {"shipwheel": ours[step], "BuildKit": theirs[step]} for step in ours}
        yield from _table(words, words.large, ["shipwheel", words.large_peer], steps, ["shipwheel", "BuildKit"])
    yield ""
    yield words.machine.format(cores=result["cores"], runs=result["runs"], page=f"{name}.md")
    if large:
        yield words.memory.format(**{key: f"{value / 1e6:.0f}" for key, value in large["memory"].items()})
    if result.get("timeline"):
        yield ""
        yield words.chart
        yield ""
        yield f"![timeline](benchmarks/results/{result['timeline']}.svg)"


def _table(words: Words, title: str, heads: list[str], steps: Mapping[str, Mapping[str, Any]], tools: list[str]) -> Iterator[str]:
    yield f"| {' | '.join([title, *heads])} |"
    yield f"|---|{'---:|' * len(heads)}"
    for step in COMMON:
        if step in steps:
            taken = [steps[step][tool]["s"] for tool in tools]
            cells = [words.seconds.format(f"{value:.{1 if value >= 1 else 2}f}") for value in taken]
            yield f"| {' | '.join([words.steps[step], *cells])} |"


def main() -> None:
    """Write all pages."""
    path = newest()
    result = json.loads(path.read_text())
    if timeline := result.get("timeline"):
        recorded = json.loads(path.with_name(f"{timeline}.json").read_text())
        path.with_name(f"{timeline}.svg").write_text(chart(recorded, CHART))
    for name, words in PAGES.items():
        page = HERE.parent / name
        page.write_text(published(page.read_text(), result, words, path.stem))
    page, path = HERE.parent / COMPILING, newest("compile")
    page.write_text(compiled(page.read_text(), json.loads(path.read_text()), path.stem))


if __name__ == "__main__":
    main()
