"""The house: doors show choices, nouns are the same, imports point down, pieces are small."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from nasp_lightning.shipped import conf_dir

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "nasp_lightning"
TESTS = ROOT / "tests"

# Rooms from the ground up; a file may import from lower floors, its neighbours and its own.
FLOORS = (
    {"array", "error", "shipped", "compiling"},
    {"storage"},
    {"record"},
    {"metric", "space", "benchmark", "image"},
    {"predictor", "network"},
    {"data"},
    {"task"},
    {"evaluator", "estimation_code"},
    {"framework", "search", "callbacks"},
    {"run", "logger"},
    {"study"},
    {"report"},
    {"job"},
    {"cli"},
)
FLOOR = {name: level for level, names in enumerate(FLOORS) for name in names}
# Groups of third-party objects and of the sets of words; they have no code here.
CONFIG_ONLY = {
    *("optimizer", "scheduler", "trainer", "logger", "hydra", "paths"),
    *("experiment", "sweep", "split", "recipe"),
}
NOUNS_WITHOUT_CONFIG = {"image", "metric", "record", "report", "run", "study"}
# Rooms whose doors are the choices of their config group, and what else may stand there.
DOORS = {
    "predictor": {"base", "part"},
    "job": {"base", "notebook"},
    "benchmark": {"base", "format", "command", "__main__"},
    "framework": {"base", "part"},
    "search": {"base", "part"},
    "evaluator": {"base", "part"},
    "estimation_code": {"base", "part"},
}
HEAVY = ("torch", "lightning", "numpy", "scipy", "wandb", "matplotlib", "pandas", "sklearn")
LINES, FUNCTION_LINES = 400, 60
# In 1,000 lines; BoTorch has 3.9 of the first, torchgeo 0.7 of the second.
ANY, PROBES = 6.0, 0.8
WHOLE_CONFIG, CONFIG_READERS = 15, 8  # functions that take one, files that index it


def rooms() -> list[str]:
    return sorted(path.parent.name for path in SOURCE.glob("*/__init__.py"))


def source_files() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def named(path: Path) -> str:
    return str(path.relative_to(SOURCE))


def imported(path: Path) -> set[str]:
    """Names under ``nasp_lightning`` that a file imports, as far as rooms go."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: imports are absolute"
            parts = node.module.split(".")
            if parts[0] == "nasp_lightning":
                found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            for alias in node.names:
                parts = alias.name.split(".")
                if parts[0] == "nasp_lightning" and len(parts) > 1:
                    found.add(parts[1])
    return found


def room_of(path: Path) -> str:
    parts = path.relative_to(SOURCE).parts
    return parts[0] if len(parts) > 1 else path.stem


def test_imports_point_down() -> None:
    for path in source_files():
        room = room_of(path)
        if room in ("__init__", "__main__"):
            continue
        assert room in FLOOR, f"{room} has no place in the house: add it to FLOORS"
        for name in imported(path) - {"__version__"}:
            assert FLOOR[name] <= FLOOR[room], f"{named(path)}: {room} imports {name} above it"


def test_rooms_of_one_floor_import_one_another_in_one_direction() -> None:
    edges = {
        (room_of(path), name)
        for path in source_files()
        for name in imported(path) - {"__version__"}
        if FLOOR.get(name) == FLOOR.get(room_of(path)) and name != room_of(path)
    }
    both = {edge for edge in edges if edge[::-1] in edges}
    assert not both


@pytest.mark.parametrize("room", sorted(DOORS))
def test_doors_show_choices(room: str) -> None:
    """Every file or package directly in such a room is a choice of its config group."""
    doors = {path.stem for path in (SOURCE / room).glob("*.py")} - {"__init__"}
    doors |= {path.parent.name for path in (SOURCE / room).glob("*/__init__.py")}
    choices = {path.stem for path in (conf_dir() / room).glob("*.yaml")}
    assert doors - DOORS[room] <= choices, f"{room}/ has parts at its door"


def test_configs_mirror_the_code() -> None:
    groups = {path.name for path in conf_dir().iterdir() if path.is_dir()}
    assert groups - CONFIG_ONLY <= set(rooms()), "a config group without a room in src/"
    assert set(rooms()) - NOUNS_WITHOUT_CONFIG <= groups, "a room without a config group"


def test_tests_mirror_the_code() -> None:
    """Every room has its tests; a test file is named after the module or function it tests."""
    for room in rooms():
        files = [path.stem.removeprefix("test_") for path in (TESTS / room).rglob("test_*.py")]
        assert files, f"no tests of {room}"
        modules = list((SOURCE / room).rglob("*.py"))
        stems = {path.stem for path in modules} | {path.parent.name for path in modules}
        text = "".join(path.read_text() for path in modules)
        stems |= set(re.findall(r"^(?:def|class) (\w+)", text, re.MULTILINE))
        for stem in files:
            assert stem in stems | {"main"}, f"tests/{room}/test_{stem}.py tests nothing of {room}"


def test_tests_take_helpers_from_helper_modules() -> None:
    for path in TESTS.rglob("*.py"):
        found = re.findall(
            r"^\s*from tests[\w.]*\.test_\w+ import|^\s*from tests import test_\w+",
            path.read_text(),
            re.MULTILINE,
        )
        assert not found, f"{path}: it imports from another test"


@pytest.mark.parametrize("group", sorted(set(rooms()) - NOUNS_WITHOUT_CONFIG))
def test_a_component_has_one_name(group: str) -> None:
    """``predictor=mlp`` is conf/predictor/mlp.yaml is src/nasp_lightning/predictor/mlp.py.

    ``<name>_mini`` is the small twin of ``<name>``; a file whose defaults begin with another one
    of its group is a variant of that, such as data=cifar100 of data=images.
    """
    for path in sorted((conf_dir() / group).glob("*.yaml")):
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        target, name = content.get("_target_", ""), path.stem.removesuffix("_mini")
        if target.startswith(f"nasp_lightning.{group}."):
            assert target.split(".")[2] == name, path
        elif not target and group != "callbacks" and name != "none":
            origin = (content.get("defaults") or [""])[0]
            if isinstance(origin, str) and (path.parent / f"{origin}.yaml").is_file():
                continue
            assert (SOURCE / group / f"{name}.py").is_file(), path


def targets(node: object) -> list[str]:
    if isinstance(node, dict):
        own = [node["_target_"]] if isinstance(node.get("_target_"), str) else []
        return own + [name for value in node.values() for name in targets(value)]
    return [name for item in node for name in targets(item)] if isinstance(node, list) else []


def test_every_target_exists() -> None:
    from importlib import import_module

    names = set()
    for path in conf_dir().rglob("*.yaml"):
        names |= set(targets(yaml.safe_load(path.read_text(encoding="utf-8"))))
    assert len(names) > 10
    for name in sorted(names):
        module, _, attribute = name.rpartition(".")
        if module.startswith("pytorch_lightning"):
            continue
        assert hasattr(import_module(module), attribute), name


def modules_after(statement: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{statement}; import sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import nasp_lightning, nasp_lightning.cli, hydra_plugins.nasp_process_launcher",
        "import nasp_lightning.benchmark, nasp_lightning.report, nasp_lightning.storage",
    ],
)
def test_nothing_heavy_is_imported_at_the_door(statement: str) -> None:
    assert not modules_after(statement) & set(HEAVY)


def test_the_lazy_names_exist() -> None:
    import nasp_lightning

    for name in nasp_lightning.__all__:
        assert getattr(nasp_lightning, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = nasp_lightning.nothing


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_pieces_are_read_in_one_sitting() -> None:
    long = {named(path) for path in source_files() if path.read_text().count("\n") > LINES}
    assert not long, f"files of more than {LINES} lines"
    wide = {
        f"{named(path)}:{node.name}"
        for path in source_files()
        for node in functions(path)
        if (node.end_lineno or 0) - node.lineno + 1 > FUNCTION_LINES
    }
    assert not wide, f"functions of more than {FUNCTION_LINES} lines"


def test_types_say_what_things_are() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in source_files())
    lines = text.count("\n")
    assert len(re.findall(r"\bAny\b", text)) / lines * 1000 <= ANY
    assert len(re.findall(r"\b(?:getattr|hasattr)\(", text)) / lines * 1000 <= PROBES


def test_the_config_is_read_at_the_door() -> None:
    takers = [
        f"{named(path)}:{node.name}"
        for path in source_files()
        for node in functions(path)
        if any(argument.arg == "config" for argument in (*node.args.args, *node.args.kwonlyargs))
    ]
    readers = [
        named(path)
        for path in source_files()
        if re.search(r"\bconfig(?:\[\"|\.get\()", path.read_text(encoding="utf-8"))
    ]
    assert len(takers) <= WHOLE_CONFIG, takers
    assert len(readers) <= CONFIG_READERS, readers
