"""Other libraries: an environment of their own, checkouts, and which versions are run."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks._table import CHECKOUTS, DOUBLE, PACKAGED, WHERE, Benchmark

PINS = Path(__file__).with_name("peers.txt")
IMPORTED = ("himalaya", "scikit-learn", "numpy", "scipy", "torch")
MODULES = ("himalaya.ridge", "sklearn.linear_model", "torch")
VERSIONS = """
import json, platform, sys
from importlib import import_module, metadata
found = {name: metadata.version(name) for name in sys.argv[1].split()}
for name in sys.argv[2].split():
    import_module(name)
print(json.dumps({"python": platform.python_version(), **found}))
"""


class PeersError(Exception):
    """The peers cannot be run; the text says why, and what to do."""


@dataclass(frozen=True)
class Peers:
    """Where other libraries are.

    Attributes
    ----------
    folder : Path
        Where an environment is made, if none is given.
    python : str, optional
        A python that has them already.
    checkouts : dict of str to Path
        Folder of each of `CHECKOUTS` that was given.
    """

    folder: Path
    python: str | None = None
    checkouts: dict[str, Path] = field(default_factory=dict)

    def ready_python(self) -> str:
        """A python that has the packaged peers; made first where there is none.

        Raises
        ------
        PeersError
            Where pip cannot install them.
        """
        return self.python or str(_made_python(self.folder))

    def arguments(self, benchmark: Benchmark) -> list[str]:
        """Those of the script, for all peers that are there."""
        found = []
        for peer in benchmark.peers:
            library = peer.removesuffix(DOUBLE)
            if library in PACKAGED:
                found += ["--peer", peer]
            elif library in self.checkouts:
                found += ["--peer", f"{peer}={self.checkouts[library]}"]
        return found

    def digests(self, benchmark: Benchmark) -> dict[str, str]:
        """What the checkouts that a benchmark runs contain."""
        used = {peer.removesuffix(DOUBLE) for peer in benchmark.peers}
        names = sorted(used & set(self.checkouts))
        return {name: _digest(name, self.checkouts[name]) for name in names}

    def left_out(self, benchmark: Benchmark) -> dict[str, str]:
        """Why each peer that does not run does not."""
        used = {peer.removesuffix(DOUBLE) for peer in benchmark.peers}
        return {
            name: f"no checkout of {WHERE[name]} was given: --peer {name}=FOLDER"
            for name in CHECKOUTS
            if name in used and name not in self.checkouts
        }


def peer_versions(python: str) -> dict[str, str]:
    """Versions of the peers in a python, which can be imported there.

    Raises
    ------
    PeersError
        Where it does not start, lacks one of them, or cannot import one.
    """
    return library_versions(python, IMPORTED, MODULES)


def library_versions(
    python: str, libraries: Sequence[str], modules: Sequence[str] = ()
) -> dict[str, str]:
    """Versions of a python and of libraries in it, where `modules` can be imported.

    Raises
    ------
    PeersError
        Where it does not start, or lacks one of them.
    """
    try:
        done = subprocess.run(
            [python, "-c", VERSIONS, " ".join(libraries), " ".join(modules)],
            capture_output=True,
            text=True,
            check=True,
        )
    except OSError as error:
        raise PeersError(f"{python} does not start ({error}); name a python") from error
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise PeersError(
            f"{python} does not have all of {', '.join(libraries)}: {reason}; "
            f"install what {PINS.name} lists there, or let the command make an environment"
        ) from error
    found: dict[str, str] = json.loads(done.stdout)
    return found


def _made_python(folder: Path) -> Path:
    """The environment's python; it is made where it is not there with these pins."""
    python, stamp = folder / "bin" / "python", folder / "installed.txt"
    wanted = f"# python {platform.python_version()}\n{PINS.read_text(encoding='utf-8')}"
    if python.exists() and stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return python
    print(f"making an environment for the peers in {folder} (about 1.2 GB) ...", flush=True)
    torch = next(line for line in wanted.splitlines() if line.startswith("torch=="))
    pip = [str(python), "-m", "pip", "install", "--quiet", "--constraint", str(PINS)]
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(folder)],
        [*pip, torch],
        [*pip, "--requirement", str(PINS)],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise PeersError(
                f"the environment for the peers was not made ({' '.join(command)}):\n"
                f"{done.stderr.strip()[-1500:]}\n"
                f"give a python that has what {PINS.name} lists: --peer-python PYTHON"
            )
    peer_versions(str(python))
    stamp.write_text(wanted, encoding="utf-8")
    return python


def _digest(name: str, folder: Path) -> str:
    """Of the sources beside the file that is run."""
    digest = hashlib.sha256()
    for path in sorted((folder / CHECKOUTS[name]).parent.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]
