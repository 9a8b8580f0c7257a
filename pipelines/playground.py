"""`make playground`: the shipped files on a page of this machine's, built and served."""

import contextlib
import functools
import http.server
import sys
from pathlib import Path

from genfoundry.params import load
from genfoundry.playground.build import build
from genfoundry.score import cache_home
from genfoundry.stages import stage

TARGET = Path("build/playground")


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Files, without a line for each, and asked for again after the next build."""

    def end_headers(self) -> None:
        """With the browser told to ask whether a file has changed."""
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing."""


def main(port: str) -> None:
    runs = {name: run.data.dataset for name, run in load().runs.items()}
    names = build(runs, TARGET, cache_home())
    print(f"{len(names)} runs in {TARGET}/, a folder that any web server can serve")
    handler = functools.partial(Quiet, directory=TARGET)
    with http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), handler) as server:
        print(f"the playground is at http://127.0.0.1:{server.server_port} (Ctrl-C ends it)", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()


if __name__ == "__main__":
    stage(main, sys.argv[1])
