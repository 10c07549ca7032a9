"""Configs from words, as the command line composes them, and Hydra's errors in the user's words."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, InstantiationException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nasp_lightning.error import NaspError
from nasp_lightning.run.chain import left
from nasp_lightning.run.folder import config_hash, resolved, stem
from nasp_lightning.shipped import conf_dir
from nasp_lightning.storage import explain_os_error

Overrides = Mapping[str, Any] | Iterable[str]


def register_resolvers() -> None:
    """Make ``${config_hash:}``, ``${stem:…}`` and ``${left:…}`` known to configs."""
    OmegaConf.register_new_resolver(
        "config_hash", lambda *, _root_: config_hash(_root_), replace=True
    )
    OmegaConf.register_new_resolver("stem", stem, replace=True)
    OmegaConf.register_new_resolver(
        "left", lambda stage, *, _root_: left(stage, _root_.paths.chain), replace=True
    )


def compose_config(words: list[str], config_dir: str | Path | None = None) -> dict[str, Any]:
    """The resolved config of a command line's words.

    A Hydra application that is running keeps its own state.

    Args:
        words: overrides.
        config_dir: a folder of further configs, searched after the shipped ones.

    Raises:
        NaspError: if a word names no file or no setting, or there is no such folder.
    """
    if config_dir is not None:
        further = Path(config_dir).expanduser().resolve()
        if not further.is_dir():
            raise NaspError(f"config_dir={config_dir}: there is no such folder")
        words = [*to_words({"hydra.searchpath": [f"file://{further}"]}), *words]
    register_resolvers()
    running = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(config_dir=str(conf_dir()), version_base="1.3"):
            return resolved(compose(config_name="config", overrides=words))
    except (HydraException, OmegaConfBaseException) as error:
        raise one_line(error) from error
    finally:
        GlobalHydra.instance().hydra = running


def to_words(overrides: Overrides) -> list[str]:
    """Settings as words of the command line: ``{"seed": 3}`` is ``["seed=3"]``.

    Raises:
        NaspError: if it is neither a mapping nor a list of words.
    """
    if isinstance(overrides, Mapping):
        return [f"{key}={to_value(value)}" for key, value in overrides.items()]
    words = [overrides] if isinstance(overrides, str) else list(overrides)
    for word in words:
        if not isinstance(word, str):
            raise NaspError(f'overrides={word!r}: write ["task.loss=logistic"] or a dict')
    return words


def to_value(value: Any) -> str:
    """A value in Hydra's grammar; text that would read as something else is quoted."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{to_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(to_value(item) for item in value) + "]"
    if isinstance(value, int | float):
        return repr(value)
    text = str(value)
    plain = re.fullmatch(r"[A-Za-z_][\w./-]*", text)
    if plain and text.lower() not in ("null", "true", "false", "inf", "nan"):
        return text
    # In Hydra's quotes a backslash stands for itself, but for those before a quote.
    escaped = re.sub(r"(\\*)('|$)", lambda m: m[1] * 2 + ("\\'" if m[2] else ""), text)
    return f"'{escaped}'"


def explain(error: BaseException) -> str | None:
    """The words in which a user sees an error; None for a defect, which needs its traceback."""
    if isinstance(error, NaspError):
        return str(error)
    if isinstance(error, InstantiationException):
        cause = error.__cause__
        if isinstance(cause, NaspError):
            return str(cause)
        return " ".join(str(error).split())
    if isinstance(error, HydraException | OmegaConfBaseException):
        cause = error.__cause__
        told = [str(error)]
        if isinstance(cause, OmegaConfBaseException) and str(cause) not in told[0]:
            told.append(str(cause))
        if told[0].startswith("Could not override") and several_experiments(sys.argv[1:]):
            told.append(
                "several experiments in one sweep: what only they choose cannot be set; "
                "sweep one experiment at a time"
            )
        return "\n".join(told)
    if isinstance(error, OSError) and error.filename is not None:
        return str(explain_os_error(error, Path(str(error.filename)), "use"))
    return None


def several_experiments(words: Sequence[str]) -> bool:
    """Whether a command line sweeps over experiments: Hydra then checks words without any."""
    return any(word.lstrip("+").startswith("experiment=") and "," in word for word in words)


def one_line(error: BaseException) -> NaspError:
    """What Hydra or OmegaConf has to say, in one line."""
    return NaspError(" ".join((explain(error) or str(error)).split()))
