"""The wheel is whole, and what the README and CI say is one thing."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def run(*words: str, cwd: Path, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    return subprocess.run(
        [sys.executable, *words],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this clone, built by the backend that pip would call."""
    folder = tmp_path_factory.mktemp("dist")
    built = run("-m", "hatchling", "build", "-t", "wheel", "-d", str(folder), cwd=ROOT)
    assert built.returncode == 0, built.stdout + built.stderr
    (file,) = folder.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel installed into a folder of its own, beside nothing else of this project."""
    folder = tmp_path_factory.mktemp("installed") / "packages"
    words = ("--quiet", "--no-deps", "--no-index", "--target", str(folder), str(wheel))
    done = run("-m", "pip", "install", *words, cwd=folder.parent)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_wheel_holds_code_configs_and_published_numbers(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    configs = {
        f"nasp_lightning/{path.relative_to(ROOT).as_posix()}"
        for path in (ROOT / "conf").rglob("*.yaml")
    }
    assert len(configs) > 20
    assert configs <= names
    expected = {
        "nasp_lightning/py.typed",
        "nasp_lightning/report/published.csv",
        "nasp_lightning/benchmark/data/tinynano_cpu.json.gz",
        "hydra_plugins/nasp_process_launcher.py",
    }
    assert expected <= names
    # hydra_plugins is a namespace shared with other projects: a file here would hide theirs
    assert "hydra_plugins/__init__.py" not in names
    rooms = {name.split("/")[0] for name in names}
    assert {room for room in rooms if not room.endswith(".dist-info")} == {
        "nasp_lightning",
        "hydra_plugins",
    }
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_installed_wheel_takes_its_own_configs(installed: Path, tmp_path: Path) -> None:
    said = run(
        "-c",
        "import nasp_lightning.cli as cli, hydra_plugins.nasp_process_launcher as launcher;"
        "print(cli.__file__, cli.conf_dir(), launcher.__file__, sep='\\n')",
        cwd=tmp_path,
        path=installed,
    )
    assert said.returncode == 0, said.stderr
    assert all(Path(line).is_relative_to(installed) for line in said.stdout.splitlines())
    shown = run(
        *("-m", "nasp_lightning", "--cfg", "job", "+experiment=nb201_tnasp_se"),
        cwd=tmp_path,
        path=installed,
    )
    assert shown.returncode == 0, shown.stderr
    assert "name: nb201_tnasp_se" in shown.stdout
    assert not list(tmp_path.iterdir())  # looking writes nothing


@pytest.mark.slow
def test_installed_wheel_runs_the_main_job(installed: Path, tmp_path: Path) -> None:
    done = run(
        *("-m", "nasp_lightning", "+experiment=nb201_tnasp_se"),
        *("trainer.max_epochs=2", "framework.iterations=2"),
        cwd=tmp_path,
        path=installed,
    )
    assert done.returncode == 0, done.stderr
    (file,) = tmp_path.glob("runs/nb201_tnasp_se/*/results.json")
    results = json.loads(file.read_text(encoding="utf-8"))
    assert results["space_size"] == 15_625
    assert list(results["phases"]) == ["supervised", "self_evolution"]


def readme_commands() -> list[str]:
    """The lines of the README's shell blocks."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```(?:bash|sh)\n(.*?)```", text, flags=re.DOTALL)
    return [line.strip() for block in blocks for line in block.splitlines() if line.strip()]


def test_ci_runs_the_readmes_test_command() -> None:
    (command,) = [line for line in readme_commands() if line.endswith("pytest")]
    script = ROOT / ".ci" / "run"
    assert command in script.read_text(encoding="utf-8")
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0


def test_readme_names_configs_and_files_that_exist() -> None:
    commands = "\n".join(readme_commands())
    for group, names in re.findall(r"\+?\b(experiment|sweep|logger|predictor)=([\w,]+)", commands):
        for name in names.split(","):
            assert (ROOT / "conf" / group / f"{name}.yaml").is_file(), f"{group}={name}"
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for link in re.findall(r"\]\((?!https?:|#)([^)]+)\)", text):
        assert (ROOT / link).exists(), link


def test_versions_agree() -> None:
    from nasp_lightning import __version__

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == __version__
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{__version__}]" in changelog


def test_every_dependency_has_its_reason_beside_it() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    listed = text[text.index("dependencies = [") : text.index("[project.scripts]")]
    for line in listed.splitlines():
        if line.lstrip().startswith('"') and "nasp-lightning[" not in line:
            assert "#" in line, line


def imported_packages(folder: Path) -> set[str]:
    """Top-level names that the code in a folder imports, wherever in a file."""
    found: set[str] = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.split(".")[0])
    return found


def test_every_imported_package_is_a_declared_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = list(project["dependencies"])
    for name in ("report", "wandb", "search", "onnx"):
        lines += project["optional-dependencies"][name]
    declared = {re.split(r"[^\w.-]", line)[0].lower().replace("_", "-") for line in lines}
    own = {"nasp_lightning", "hydra_plugins"}
    providers = packages_distributions()
    for name in imported_packages(ROOT / "src") - own - sys.stdlib_module_names:
        distributions = {item.lower().replace("_", "-") for item in providers.get(name, [name])}
        assert distributions & declared, f"src imports {name} of {sorted(distributions)}"


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = (
        "import sys, nasp_lightning.cli;"
        "print(sorted({'torch', 'lightning', 'scipy', 'matplotlib', 'wandb'} & set(sys.modules)))"
    )
    said = run("-c", code, cwd=ROOT)
    assert said.stdout.strip() == "[]", said.stdout + said.stderr
