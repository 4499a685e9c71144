"""Install the wheel in a folder into a clean environment and use it; `make wheel` runs this.

usage: python tools/check_wheel.py FOLDER
"""

import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
FIT = """
import numpy as np
import polarstep as ps

rng = np.random.default_rng(0)
X = rng.standard_normal((500, 3)) * [1.0, 100.0, 0.01]
y = np.where(X @ [1.0, 0.01, 100.0] + rng.standard_normal(500) > 0, "yes", "no")
model = ps.HalfspaceClassifier(C=1e6).fit(X, y)
assert model.score(X, y) > 0.8, model.score(X, y)
result = ps.minimize(ps.Halfspace(X, np.where(y == "yes", 1.0, -1.0)), tol=1e-6)
print(ps.__version__, ps.__file__, result.status.name)
"""


def check_contents(wheel: Path) -> None:
    """Check that the wheel holds every file of the package, templates and py.typed included."""
    source = ROOT / "src"
    files = {
        path.relative_to(source).as_posix()
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    missing = files - set(zipfile.ZipFile(wheel).namelist())
    if missing:
        sys.exit(f"{wheel.name} does not contain {', '.join(sorted(missing))}")


def check_installation(wheel: Path) -> None:
    """Install the wheel into a new environment, fit a model, and call the command line."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder) / ("Scripts" if sys.platform == "win32" else "bin") / "python"
        quiet = ["--quiet", "--disable-pip-version-check", "-c", ROOT / "constraints.txt"]
        for command in (
            ["-m", "pip", "install", *quiet, f"{wheel.resolve()}[reproduce]"],
            ["-c", FIT],
            [python.parent / "polarstep", "--version"],
        ):
            subprocess.run([python, *command], cwd=folder, check=True)


def main() -> None:
    """Check the only wheel in the folder that the command line names."""
    (wheel,) = Path(sys.argv[1]).glob("*.whl")
    check_contents(wheel)
    check_installation(wheel)


if __name__ == "__main__":
    main()
