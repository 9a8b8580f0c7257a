"""`make ui`: MLflow's page on what there is, for this machine only."""

import subprocess
import sys

from genfoundry.tracking import tracking_uri


def main(port: str) -> int:
    command = ["-m", "mlflow", "server", "--backend-store-uri", tracking_uri(), "--host", "127.0.0.1"]
    print(f"MLflow on http://127.0.0.1:{port} (Ctrl-C ends it)", flush=True)
    return subprocess.run([sys.executable, *command, "--port", port, "--workers", "1"]).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
