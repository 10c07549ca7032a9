"""What the configs say of benchmarks: which there are, and which an experiment uses.

A defaults list is followed as Hydra follows it, and nothing is composed: an override in a file
comes before those in the files that its defaults name.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from nasp_lightning.error import NaspError
from nasp_lightning.shipped import conf_dir

UNSAID = ""  # a file does not say which benchmark
NO_BENCHMARK = "no benchmark"  # of jobs that train on images


def loaders() -> dict[str, str]:
    """Benchmark to the function that loads it, such as ``nasp_lightning.benchmark.foo.load_table``.

    Raises:
        NaspError: if a config of ``conf/benchmark`` cannot be read, or names no function.
    """
    found = {}
    for file in sorted((conf_dir() / "benchmark").glob("*.yaml")):
        table = _content(file).get("table")
        target = table.get("_target_") if isinstance(table, dict) else None
        if not isinstance(target, str):
            raise NaspError(f"{file}: table._target_ must name a function load_table")
        found[file.stem] = target
    return found


def experiments() -> dict[str, list[str]]:
    """Benchmark to the stems of the experiments that use it, :data:`NO_BENCHMARK` for none.

    An experiment names its benchmark in its defaults (``override /benchmark: nasbench201``), has
    that of the experiment, recipe or job that stands there, or the root config's.
    """
    root = benchmark_of(conf_dir() / "config.yaml")
    found: dict[str, list[str]] = {}
    for file in sorted((conf_dir() / "experiment").glob("*.yaml")):
        found.setdefault(benchmark_of(file) or root, []).append(file.stem)
    return found


def benchmark_of(file: Path) -> str:
    """The benchmark that a config chooses, :data:`UNSAID` where it leaves that to others."""
    chosen = list(_choices(file))
    for group, choice in chosen:
        if group == "benchmark":
            return NO_BENCHMARK if choice is None else choice
    # The last to stand there has the last word.
    for group, choice in reversed(chosen):
        named = conf_dir() / group / f"{choice}.yaml"
        if named.is_file() and (found := benchmark_of(named)):
            return found
    return UNSAID


def _choices(file: Path) -> Iterator[tuple[str, str | None]]:
    """Group and choice of each entry of a defaults list."""
    defaults = _content(file).get("defaults")
    for entry in defaults if isinstance(defaults, list) else []:
        if isinstance(entry, str) and entry != "_self_":
            yield file.parent.name, entry
        for key, choice in entry.items() if isinstance(entry, dict) else ():
            group = str(key).removeprefix("override ").removeprefix("optional ")
            yield (
                group.partition("@")[0].strip().strip("/"),
                None if choice is None else str(choice),
            )


def _content(file: Path) -> dict[str, object]:
    import yaml

    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise NaspError(f"cannot read {file}: {' '.join(str(error).split())}") from error
    return content if isinstance(content, dict) else {}
