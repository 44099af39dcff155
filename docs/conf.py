"""How Sphinx builds the documentation: ``make docs``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from jupyter_client.manager import AsyncKernelManager

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
# Tutorials type commands, and mean those of this environment.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
os.environ["COLUMNS"] = "96"
os.environ["SHELLOPTS"] = "errexit:pipefail"

# Kernels listen on ports of this machine, and warn where others could listen in.
AsyncKernelManager.transport_encryption.default_value = "auto"

project = "invlearn"
project_copyright = "the invlearn authors"
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "docs._ext.mathml",
    "docs._ext.cells",
    "docs._ext.reference",
    "docs._ext.slurm",
]
exclude_patterns = ["_ext"]
nitpicky = True
# Names of other libraries would need a network; two types are the package's own affair.
nitpick_ignore_regex = [
    ("py:class", r"(torch|numpy|np|pandas|pd|pathlib|omegaconf|collections\.abc)\..+|Tensor|Path|DictConfig"),
    ("py:class", r"invlearn\.(data\.shiftscale\.ShiftAndScale|nn\.linear\.Initializer)"),
]
toc_object_entries_show_parents = "hide"
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
napoleon_use_ivar = True
html_math_renderer = "mathml"

highlight_language = "text"

html_theme = "pydata_sphinx_theme"
html_title = "invlearn"
html_theme_options = {
    "show_prev_next": False,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_sidebars = {"index": [], "start": []}
html_context = {"default_mode": "auto"}  # light or dark, as the reader's system
html_show_sourcelink = False
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["site.css"]

myst_heading_anchors = 3
# A tutorial runs whenever its page is built, in an empty folder; a command that fails, fails the build.
nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 300  # for machines that are busy
nb_execution_show_tb = True
