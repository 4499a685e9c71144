"""The doctests of the pages leave out what building the site generates."""

collect_ignore_glob = [
    "conf.py",
    "draw_figures.py",
    "extensions/*",
    "_build/*",
    "gallery/*",
    "api/generated/*",
]
