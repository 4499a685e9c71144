"""The doctests of the pages leave out what building the site generates."""

collect_ignore_glob = ["conf.py", "extensions/*", "_build/*", "gallery/*", "api/generated/*"]
