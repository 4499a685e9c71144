"""The configuration of the documentation site: `make docs` builds it."""

import re
import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS / "extensions"))

project = "polarstep"
author = "The polarstep developers"
copyright = "2026, the polarstep developers"
release = re.search(
    r'__version__ = "(.+)"', (DOCS.parent / "src/polarstep/__init__.py").read_text()
).group(1)
version = release

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_parser",
    "sphinx_design",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
    "mathml",
    "plain_docstrings",
    "short_references",
    "trimmed_examples",
]
exclude_patterns = [
    "api/generated/examples",
    "extensions",
    "templates",
    "_build",
    "gallery/**/*.ipynb",
    "gallery/**/*.py",
]
templates_path = ["templates"]
default_role = "code"
highlight_language = "none"  # blocks of commands; examples in Python say so
nitpicky = True

# Markdown
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "linkify"]
myst_heading_anchors = 3
myst_linkify_fuzzy_links = False

# The API: signatures without annotations, because numpydoc's sections state the types.
autosummary_generate = True
autodoc_typehints = "none"
toc_object_entries_show_parents = "hide"
autodoc_member_order = "bysource"
autodoc_default_options = {
    "members": True,
    "inherited-members": "BaseEstimator, ClassifierMixin, Optimizer, Enum, tuple, object",
    "exclude-members": "get_metadata_routing, set_fit_request, set_score_request",
}
autosummary_filename_map = {  # file systems that ignore case would mix these up with functions
    "polarstep.curvature.Coupling": "polarstep.curvature.Coupling-class",
    "polarstep.optim.Assignment": "polarstep.optim.Assignment-class",
}
numpydoc_show_class_members = False

# The gallery
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"/plot_",
    "subsection_order": [
        "../examples/linear_model",
        "../examples/theory",
        "../examples/networks",
        "*",
    ],
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "remove_config_comments": True,
    "show_memory": False,
    "backreferences_dir": "api/generated/examples",
    "doc_module": ("polarstep",),
    "default_thumb_file": str(DOCS / "_static" / "logo.svg"),
    "image_scrapers": ("matplotlib",),
    "reset_modules": ("matplotlib",),
    "copyfile_regex": r".*\.(rst|md)",
}

# The pages
html_theme = "pydata_sphinx_theme"
html_title = "polarstep"
html_favicon = "_static/logo.svg"
html_static_path = ["_static"]
html_css_files = ["polarstep.css"]
html_sidebars = {"index": [], "benchmarks/index": []}  # pages without a section around them
html_copy_source = False
html_show_sourcelink = False
html_math_renderer = "mathml"
html_theme_options = {
    "logo": {
        "text": "polarstep",
        "image_light": "_static/logo.svg",
        "image_dark": "_static/logo.svg",
        "alt_text": "polarstep, home",
    },
    "navbar_align": "left",
    "header_links_before_dropdown": 7,
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
