"""Run the long checks, each once: ``python -m acceptance --out FOLDER [CHECK ...]``."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from acceptance.checks import CHECKS


def main() -> None:
    """Run every check whose result is not in the folder yet, and print all results."""
    parser = argparse.ArgumentParser(prog="python -m acceptance", description=__doc__)
    parser.add_argument("checks", nargs="*", metavar="CHECK", help=f"of: {', '.join(CHECKS)}")
    parser.add_argument("--out", type=Path, default=Path("acceptance/out"))
    arguments = parser.parse_args()
    unknown = [name for name in arguments.checks if name not in CHECKS]
    if unknown:
        parser.error(f"no check called {unknown[0]!r}; there are: {', '.join(CHECKS)}")
    failed = [name for name in arguments.checks or CHECKS if not _run(name, arguments.out)]
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


def _run(name: str, out: Path) -> bool:
    path = out / f"{name}.json"
    if not path.exists():
        scratch = out / "work" / name
        scratch.mkdir(parents=True, exist_ok=True)
        start = time.monotonic()
        result = CHECKS[name](scratch)
        result["minutes"] = round((time.monotonic() - start) / 60, 1)
        path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    result = json.loads(path.read_text(encoding="utf-8"))
    print(f"## {name}: {'passed' if result['passed'] else 'FAILED'}")
    print(json.dumps(result, indent=1))
    return bool(result["passed"])


if __name__ == "__main__":
    main()
