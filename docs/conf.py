"""How Sphinx builds these pages.

    pip install -e '.[docs]' && sphinx-build -W --keep-going docs docs/_build

Pages are Markdown (MyST); those under ``api/`` are written by the build from the source tree as it
is, so a module that is added or moved needs no edit here. Every warning is an error with ``-W``:
a link to a file or heading that is not there, a reference to a name that the code does not have.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.util import logging

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))  # this clone's code, whatever is installed

_project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
project = "nasp_lightning"
author = copyright = "The nasp_lightning developers"
version = release = _project["version"]

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.apidoc",
    "sphinx.ext.napoleon",
]
exclude_patterns = ["_build", "figures", ".*", "api/modules.rst"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}

html_theme = "furo"
html_title = f"{project} {version}"

myst_heading_anchors = 4  # as GitHub makes them, so that links work there too

apidoc_modules = [
    {
        "path": str(ROOT / "src" / "nasp_lightning"),
        "destination": "api",
        "exclude_patterns": ["**/__main__.py"],  # command lines: nothing to document
        "automodule_options": {"members", "show-inheritance"},
        "module_first": True,
    }
]
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # attributes of data classes are described once

nitpicky = True  # a reference to a name of this package has to lead somewhere
nitpick_ignore_regex = [
    ("py:.*", r"(?!nasp_lightning\.).*"),  # other packages' names, and annotations' short ones
    ("py:data", r".*"),  # constants are not documented one by one
    ("py:.*", r".*\._\w+"),  # private names in annotations
    ("py:(class|obj)", r"nasp_lightning\.(\w+\.)+([A-Z]\w{0,4}|Values|Module)"),  # type variables
    ("py:.*", r"nasp_lightning\.\w+"),  # names that the package loads on first use
]
suppress_warnings = [
    "ref.python",  # short names in annotations may stand for several things
]


class LinksOutOfTheDocs(SphinxTransform):
    """Links that leave ``docs/``: checked, and shown as the path from the root of the repository.

    They are relative, so they work where the files are read in place. Built pages have no such
    neighbours: there a link becomes its text, and the path where the text does not say it.
    """

    default_priority = 5  # before Sphinx collects downloads

    def apply(self, **kwargs: Any) -> None:
        """Replace each such link."""
        folder = Path(self.env.doc2path(self.env.docname)).parent
        found = [*self.document.findall(addnodes.pending_xref)]
        found += [*self.document.findall(addnodes.download_reference)]
        for node in found:
            target = str(node.get("reftarget", ""))
            if target.startswith("/") and node.get("refdomain") == "doc":  # another Markdown file
                path = Path(f"{target}.md")
            elif target.startswith("../"):
                path = (folder / target.partition("#")[0]).resolve()
            else:
                continue
            if path.is_relative_to(ROOT / "docs"):
                continue
            if not path.exists() or not path.is_relative_to(ROOT):
                logging.getLogger(__name__).warning(
                    "no such file in the repository: %s", target, location=node
                )
            told = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else target
            text, told = node.astext(), told.removesuffix("/README.md")
            shown: list[nodes.Node] = [] if text in told else [nodes.Text(f"{text} (")]
            shown.append(nodes.literal(told, told))
            if len(shown) > 1:
                shown.append(nodes.Text(")"))
            node.replace_self(shown)


def close_literals(*arguments: Any) -> None:
    """Literals that end with a space, which reStructuredText does not know, lose it."""
    lines: list[str] = arguments[-1]
    lines[:] = [re.sub(r"``(\S+) ``(?=\W|$)", r"``\1``", line) for line in lines]


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.add_transform(LinksOutOfTheDocs)
    app.connect("autodoc-process-docstring", close_literals)
