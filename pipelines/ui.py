"""`make ui`: MLflow's page on what there is, for this machine only."""

import contextlib
import subprocess
import sys

from genfoundry.params import load
from genfoundry.stages import stage
from genfoundry.tracking import pages, tracking_uri
from genfoundry.workspace import synchronise


def main(port: str) -> None:
    uri = tracking_uri()
    synchronise(load())
    if uri.startswith("http"):
        print(f"MLflow is at {uri} (MLFLOW_TRACKING_URI)")
        return
    command = ["-m", "mlflow", "server", "--backend-store-uri", uri, "--host", "127.0.0.1", "--port", port]
    print(f"MLflow on http://127.0.0.1:{port} (Ctrl-C ends it); the runs on each data set:", flush=True)
    for name, page in pages().items():
        print(f"  {name:16} http://127.0.0.1:{port}{page}", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        subprocess.run([sys.executable, *command, "--workers", "1"])


if __name__ == "__main__":
    stage(main, sys.argv[1])
