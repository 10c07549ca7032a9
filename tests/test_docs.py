"""The README and the pages of docs/: links lead somewhere, commands compose, Python compiles."""

from __future__ import annotations

import argparse
import csv
import importlib
import importlib.util
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser

from nasp_lightning.cli import experiment_first
from tests.tiny import compose_config

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]
TEXTS = [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
FENCE = re.compile(r"^(`{3,})([^\n`]*)\n(.*?)^\1\n", re.MULTILINE | re.DOTALL)
RUN = "<!-- run -->"
MOST_WORDS, MOST_LINES = 80, 120
# Other programs that pages may name; what they do is not looked at.
OTHERS = {"pip", "pytest", "pre-commit", "sphinx-build", "mypy", "ruff"}
MODULES = r"python -m (nasp_lightning(?:\.[\w.]+)?)"


class Block(NamedTuple):
    """A fenced block of a page."""

    page: Path
    language: str
    text: str
    run: bool


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def blocks(language: str) -> list[Block]:
    """Every block of a language on the pages."""
    found = []
    for page in PAGES:
        text = read(page)
        for match in FENCE.finditer(text):
            told = match[2].strip()
            if told == language:
                before = text[: match.start()].rstrip().rpartition("\n")[2]
                found.append(Block(page, told, match[3], before.strip() == RUN))
    return found


def prose(text: str) -> str:
    """A page without its blocks of code."""
    return FENCE.sub("\n", text)


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and MyST make them."""
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6} (.+)$", prose(read(path)), re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        while slug in found:
            slug += "-1"
        found.add(slug)
    return found


def links(text: str) -> list[str]:
    """Targets of Markdown's and HTML's links and images."""
    plain = re.sub(r"`[^`\n]+`", "", prose(text))  # code in a line; links around it keep target
    markdown = re.findall(r"\]\(([^)\s]+)(?: \"[^\"]*\")?\)", plain)
    html = re.findall(r"(?:src|srcset|href)=\"([^\"]+)\"", plain)
    directives = re.findall(r"^`{3}\{image\} (\S+)", text, re.MULTILINE)
    return [*markdown, *html, *directives]


@pytest.mark.parametrize("page", TEXTS, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(read(page)):
        if re.match(r"https?://", link):
            continue
        target, _, anchor = link.partition("#")
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), link
        assert path.is_relative_to(ROOT), link
        if anchor:
            assert path.suffix == ".md", link
            assert anchor in anchors(path), link


def commands(text: str) -> list[list[str]]:
    """The commands of a shell block, as words."""
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        while words:
            end = words.index("&&") if "&&" in words else len(words)
            command, words = words[:end], words[end + 1 :]
            while command and re.fullmatch(r"[A-Z_]+=.*", command[0]):  # of the environment
                command = command[1:]
            if command:
                found.append(command)
    return found


BASH = [
    pytest.param(command, id=f"{name(block.page)}: {shlex.join(command)}")
    for block in blocks("bash")
    if block.page.parent.name != "extend"  # tests/test_extend.py runs those
    for command in commands(block.text)
]


@pytest.mark.parametrize("command", BASH)
def test_commands_are_understood(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    module = re.match(MODULES, " ".join(command[:3]))
    if command[0] == "nasp" or (module and module[1] == "nasp_lightning"):
        for words in compositions(command[3 if module else 1 :]):
            assert compose_config(*words)
    elif module:
        parse(module[1], command[3:], monkeypatch)
    elif command[0] == "bash":
        assert (ROOT / command[1]).is_file()
    elif command[0].startswith((".", "docs/")):
        assert (ROOT / command[0]).is_file()
    elif command[0] == "python":
        assert (ROOT / command[1]).is_file()
    else:
        assert command[0] in OTHERS


def compositions(words: list[str]) -> list[tuple[str, ...]]:
    """What a command line composes: its words, of a sweep the first and the last choices.

    Hydra composes a sweep once more, first of all, without what is swept.
    """
    words = experiment_first(words)
    several = bool({"-m", "--multirun"} & set(words))
    overrides = [word for word in words if "=" in word and not word.startswith("-")]
    flags = [word for word in words if word not in overrides]
    known = {"-m", "--help", "--cfg", "job", "--package", "--resolve", "data"}
    assert set(flags) <= known, f"a flag that this test does not know: {flags}"
    if not several:
        return [tuple(overrides)]
    choices, common = [], []
    for override in OverridesParser.create().parse_overrides(overrides):
        if override.is_sweep_override():
            key = override.get_key_element()
            values = [f"{key}={value}" for value in override.sweep_string_iterator()]
            named = "/" in key or "." not in key  # a group's choices; of values one is enough
            choices.append((values[0], values[-1 if named and key != "seed" else 0]))
        else:
            assert override.input_line is not None
            choices.append((override.input_line,) * 2)
            common.append(override.input_line)
    return [tuple(common), *dict.fromkeys(zip(*choices, strict=True))]


class Parsed(Exception):
    """Arguments were understood."""


def parse(module: str, arguments: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a module's command line read arguments, and stop it there."""
    original = argparse.ArgumentParser.parse_args

    def parse_and_stop(*words: Any, **options: Any) -> NoReturn:
        original(*words, **options)
        raise Parsed

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_and_stop)
    package = importlib.util.find_spec(module)
    assert package is not None, module
    inner = f"{module}.__main__" if package.submodule_search_locations else module
    with pytest.raises(Parsed):
        importlib.import_module(inner).main(list(arguments))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_python_compiles(page: Path) -> None:
    for block in blocks("python"):
        if block.page == page:
            compile(block.text, name(page), "exec")


def test_python_that_is_marked_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    marked = [block for block in blocks("python") if block.run]
    assert marked
    for block in marked:
        exec(compile(block.text, name(block.page), "exec"), {})
    assert list(tmp_path.iterdir()) == []


def paragraphs(text: str) -> list[str]:
    """Paragraphs and items of lists; no tables, headings, comments or HTML."""
    found = []
    for part in re.split(r"\n\s*\n", prose(text)):
        for item in re.split(r"\n(?=\s*(?:[-*]|\d+\.) )", part):
            if item.strip() and not item.lstrip().startswith(("#", "|", "<")):
                found.append(item)
    return found


@pytest.mark.parametrize("page", TEXTS, ids=name)
def test_paragraphs_are_short(page: Path) -> None:
    for paragraph in paragraphs(read(page)):
        assert len(paragraph.split()) <= MOST_WORDS, paragraph


def test_the_readme_is_short() -> None:
    assert len(read(README).splitlines()) <= MOST_LINES


def script(path: str) -> Any:
    """A script of the repository, as a module."""
    spec = importlib.util.spec_from_file_location("script", ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def test_the_searches_table_is_that_of_the_measured_file() -> None:
    table = script("experiments/search/table.py")
    with open(ROOT / "experiments/search/measured.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert table.readme_table(rows) in read(README), "run python experiments/search/table.py"
    assert table.markdown(rows) == read(ROOT / "experiments/search/measured.md")


def test_tables_are_those_of_the_measured_files() -> None:
    ranking = script("docs/figures/ranking.py")
    for page, published in ((README, False), (ROOT / "docs" / "measured.md", True)):
        assert ranking.table(published) in read(page), "run python docs/figures/ranking.py"
        assert ranking.with_table(read(page), ranking.table(published)) == read(page)


def test_pages_tell_nothing_private() -> None:
    private = re.compile(r"facts \d|\(asked|aimed at|plan of the house|\.\./shared")
    for page in TEXTS:
        assert not private.search(read(page)), name(page)


def test_citation_names_this_version() -> None:
    from nasp_lightning import __version__

    told = yaml.safe_load(read(ROOT / "CITATION.cff"))
    assert str(told["version"]) == __version__
    assert told["license"] == "Apache-2.0"
    assert {"cff-version", "message", "title", "authors"} <= set(told)
    titles = " ".join(reference["title"] for reference in told["references"])
    assert all(paper in titles for paper in ("TNASP", "Siamese-NAS", "PINAT"))


@pytest.mark.parametrize("path", sorted((ROOT / ".github").rglob("*.yml")), ids=name)
def test_forms_and_workflows_are_yaml(path: Path) -> None:
    assert isinstance(yaml.safe_load(read(path)), dict)


def test_the_keys_of_results_are_those_of_the_code() -> None:
    spec = importlib.util.spec_from_file_location("results_keys", ROOT / "docs/results_keys.py")
    assert spec is not None
    assert spec.loader is not None
    keys = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(keys)
    page = keys.PAGE.read_text(encoding="utf-8")
    assert keys.renewed(page) == page, "run python docs/results_keys.py"
