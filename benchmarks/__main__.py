"""All benchmarks in one command, beside other libraries and this machine's own limits.

Each runs in a process of its own, and once: what is finished is not run again unless its
arguments, a version or a peer changed. OUT/benchmarks.json has all figures, OUT/benchmarks.svg the
ridge beside its peers, OUT/logs what the scripts said. Data are SIMULATED. Linux only.
"""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from benchmarks._peers import IMPORTED, Peers, PeersError, peer_versions
from benchmarks._plot import draw, sizes
from benchmarks._run import RECORD, Asked, Record, run_benchmarks
from benchmarks._table import CHECKOUTS, SIZES, WHERE
from benchmarks._ways import WAYS, summary

EXAMPLES = """
examples:
  python -m benchmarks                                  some two minutes on two free cores
  python -m benchmarks --size laptop --threads 2        an hour or two
  python -m benchmarks ridge-minute text-features       two of them
  python -m benchmarks --peer huth=~/deep-fMRI-dataset --peer litcoder=~/litcoder_core
  python -m benchmarks --peer-python ~/peers/bin/python an environment that has the peers

The first run makes an environment for himalaya and scikit-learn in OUT/peers (benchmarks/peers.txt,
1.2 GB). The Huth lab's and LITcoder's ridge are run from checkouts, and left out without them.
Exit codes: 0, all measured; 1, one failed; 2, nothing was begun;
130, stopped by Ctrl-C.
"""


def main(words: Sequence[str] | None = None) -> int:
    """Run what is asked for, print a table, draw the figure; 1 where a benchmark failed."""
    parser = _parser()
    given = parser.parse_args(words)
    chosen = given.names or list(SIZES[given.size])
    out = given.out or Path("benchmarks") / "out" / given.size
    _check_names(parser, chosen, given.size)
    peers = Peers(out.absolute() / "peers", given.peer_python, _checkouts(parser, given.peer))
    try:
        if given.peer_python is not None:
            peer_versions(given.peer_python)
        out.mkdir(parents=True, exist_ok=True)
        record = Record(out / RECORD, given.size)
    except (PeersError, OSError, ValueError) as error:
        parser.error(str(error))
    asked = Asked(given.size, given.turns, given.threads, out.absolute(), peers)
    benchmarks = {name: SIZES[given.size][name] for name in chosen}
    try:
        failed = run_benchmarks(benchmarks, asked, record, say=lambda line: print(line, flush=True))
    except KeyboardInterrupt:
        print("stopped; the same command goes on with what is not finished")
        return 130
    show(record, out)
    if failed:
        print(f"failed: {', '.join(failed)}; the same command runs them again")
    return 1 if failed else 0


def show(record: Record, out: Path) -> None:
    """Print a table of all that is finished, and what was left out; draw the ridge."""
    results = record.results()
    ways = {name: WAYS[script](result) for name, (script, result) in results.items()}
    print("\nSIMULATED data; medians, and time by that of ours\n")
    print(summary(ways.items()))
    left_out = {
        peer: why for name in results for peer, why in record.entries[name]["left_out"].items()
    }
    for peer, why in left_out.items():
        print(f"left out: {peer}: {why}")
    ridges = {name: of for name, of in ways.items() if results[name][0] == "ridge"}
    drawn = out / "benchmarks.svg"
    if ridges:
        draw(ridges, {name: sizes(results[name][1]) for name in ridges}, drawn)
    else:
        drawn.unlink(missing_ok=True)
    print(f"\n{out / RECORD}" + (f"\n{drawn}" if ridges else ""))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=_names_help())
    parser.add_argument("--size", choices=SIZES, default="minute")
    parser.add_argument("--out", type=Path, help="where results go (benchmarks/out/SIZE)")
    parser.add_argument("--turns", type=_count, default=3, help="of each way, interleaved (3)")
    parser.add_argument("--threads", type=_count, default=1, help="of every library (1)")
    parser.add_argument(
        "--peer", action="append", default=[], metavar="NAME=FOLDER",
        help="a checkout: " + ", ".join(f"{name} of {WHERE[name]}" for name in CHECKOUTS),
    )  # fmt: skip
    parser.add_argument(
        "--peer-python", metavar="PYTHON", help=f"has {', '.join(IMPORTED)}; none is made then"
    )
    return parser


def _names_help() -> str:
    by_size = (f"{size}: {', '.join(table)}" for size, table in SIZES.items())
    return "all by default; " + "; ".join(by_size)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) >= 1):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of 1 or more")
    return int(text)


def _check_names(parser: argparse.ArgumentParser, chosen: Sequence[str], size: str) -> None:
    known = list(SIZES[size])
    for name in chosen:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            meant = f"; did you mean {near[0]!r}?" if near else ""
            parser.error(
                f"no benchmark called {name!r} at --size {size}{meant} "
                f"There are: {', '.join(known)}"
            )


def _checkouts(parser: argparse.ArgumentParser, given: Sequence[str]) -> dict[str, Path]:
    """Folder of each peer, absolute."""
    found: dict[str, Path] = {}
    for text in given:
        name, _, folder = text.partition("=")
        if name not in CHECKOUTS or not folder:
            _refuse_peer(parser, text, "wanted is NAME=FOLDER with one of " + ", ".join(CHECKOUTS))
        if name in found:
            _refuse_peer(parser, text, f"{name} was given before; give one folder")
        path = Path(folder).expanduser().absolute()
        if not (path / CHECKOUTS[name]).is_file():
            why = f"there is no {CHECKOUTS[name]} in {path}; give a checkout of {WHERE[name]}"
            _refuse_peer(parser, text, why)
        found[name] = path
    return found


def _refuse_peer(parser: argparse.ArgumentParser, text: str, why: str) -> NoReturn:
    parser.error(f"--peer {text}: {why}")


if __name__ == "__main__":
    raise SystemExit(main())
