"""``brainaligner view``: look into a finished run."""

from __future__ import annotations

import webbrowser
from contextlib import suppress
from secrets import token_urlsafe
from typing import Annotated

import typer

from brainaligner.study._printing import (
    AsJson,
    DataAgain,
    FinishedRun,
    StoreBeside,
    help_end,
    print_json,
    stoppable,
)

EXAMPLES = help_end(
    "view runs/demo",
    "view runs/baseline --data ~/data --port 8765 --no-browser",
    more="On another machine, forward the port and open the printed address here:\n\n"
    "  ssh -L 8765:127.0.0.1:8765 HOST",
)


def view(
    run: FinishedRun,
    data: DataAgain = None,
    out: StoreBeside = None,
    port: Annotated[int, typer.Option("--port", help="Port to listen on; 0 takes a free one.")] = 0,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Explore a finished run: measured and predicted time courses, words, the cortex in 3-D.

    Serves a page on the loopback address, for this machine alone, until Ctrl-C. Nothing is
    fitted and no file is changed. Only stories that the run scored are shown.
    """
    from brainaligner.study._progress import reporting
    from brainaligner.study._reopened import reopen_run
    from brainaligner.study._view_data import RunView
    from brainaligner.study._view_server import LOOPBACK, explorer_server

    with stoppable():
        with reporting() as reporter:
            plan, store = reopen_run(run, data=data, out=out, reporter=reporter)
        secret, opened = token_urlsafe(16), RunView(run, plan, store)
        with explorer_server(opened, port=port, secret=secret) as server:
            address = f"http://{LOOPBACK}:{server.server_port}/{secret}/"
            if as_json:
                print_json({"address": address, "study": opened.about()["study"]})
            else:
                print(f"{address}  (Ctrl-C ends it)", flush=True)
            if browser:
                webbrowser.open(address)
            with suppress(KeyboardInterrupt):
                server.serve_forever()
