#!/usr/bin/env bash
# Builds the images without a Docker engine or an image registry, and uses them: for who changes one, and for CI.
#
#   docker/check.sh runtime DIST     # verify and generate inside `runtime`, on the runs in the folder DIST
#   docker/check.sh tracking         # the server on a PostgreSQL of its own: a run, a picture, and both after a restart
#   docker/check.sh train            # `make smoke` inside `train`
#   docker/check.sh sizes            # of what was built
#
# Needs root on Debian with buildah and debootstrap, and for `tracking` postgresql and curl. The base is Debian's own
# Python in place of python:3.11-slim-bookworm. pip's settings (PIP_*, /etc/pip.conf, /etc/xdg/pip) and certificates of
# this machine serve inside too; MOUNTS names more folders, e.g. one of wheels: MOUNTS="/srv/wheels /srv/index".
set -euo pipefail
cd "$(dirname "$0")/.."

WORK=${WORK:-/var/tmp/genfoundry-images}
BASE=localhost/genfoundry-base
PORT=5055 PG_PORT=54399 # of `tracking`
export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot BUILDAH_FORMAT=docker

say() { printf '\n== %s\n' "$*"; }

# Whatever builds and runs here need of this machine, as arguments of buildah.
borrowed() {
    local place
    for place in /etc/ssl/certs /usr/share/ca-certificates /etc/pip.conf /etc/xdg/pip ${MOUNTS:-}; do
        [[ -e $place ]] && printf -- '--volume=%s:%s:ro ' "$place" "$place"
    done
    env | sed -n 's/^\(PIP_[A-Z_]*=[^ ]*\)$/--env=\1/p' | tr '\n' ' '
}

base() {
    buildah inspect --type image "$BASE" >/dev/null 2>&1 && return
    say "base: Debian with Python"
    rm -rf "$WORK/base"
    mkdir -p "$WORK"
    debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates trixie "$WORK/base" >/dev/null
    rm -rf "$WORK"/base/var/cache/apt/* "$WORK"/base/var/lib/apt/lists/*
    local container
    container=$(buildah from scratch)
    buildah copy --quiet "$container" "$WORK/base" / >/dev/null
    buildah commit --quiet --rm "$container" "$BASE" >/dev/null
    rm -rf "$WORK/base"
}

# image NAME [BUILD-ARGUMENT ...]
image() {
    local name=$1
    shift
    base
    say "image: $name"
    # shellcheck disable=SC2046
    buildah build --quiet --pull-never --network host --build-arg BASE="$BASE" "$@" $(borrowed) \
        --tag "localhost/genfoundry-$name" --file "docker/$name.Dockerfile" . >/dev/null
}

# inside NAME [OPTION ...] -- COMMAND ...: in a container that is thrown away, as its user, with its own environment.
inside() {
    local name=$1 options=() container status=0
    shift
    while [[ $1 != -- ]]; do
        options+=("$1")
        shift
    done
    shift
    container=$(buildah from --pull-never "localhost/genfoundry-$name")
    buildah run --network host "${options[@]}" "$container" -- "$@" || status=$?
    buildah rm "$container" >/dev/null
    return $status
}

check_runtime() {
    local dist out run name
    dist=$(mktemp -d)
    out=$(mktemp -d)
    cp -r "$1"/. "$dist"
    chmod -R a+rX "$dist" # whoever runs inside is not who made them
    chmod 777 "$out"
    image runtime
    for run in "$dist"/*/; do
        name=$(basename "$run")
        say "runtime: $name"
        inside runtime --volume="$dist:/dist:ro" -- genfoundry verify "/dist/$name"
        if [[ -e $run/generate.onnx ]]; then
            inside runtime --volume="$dist:/dist:ro" --volume="$out:/out" -- \
                genfoundry generate "/dist/$name" -n 4 -o "/out/$name.png"
            [[ -s $out/$name.png ]]
        fi
    done
    say "runtime: it has no root and no torch, and writes nowhere else"
    inside runtime -- python3 -c '
import importlib.util, os
assert os.getuid() == 10001
assert not any(importlib.util.find_spec(name) for name in ("torch", "onnx", "mlflow"))
for folder in ("/", "/opt/genfoundry", "/usr/bin", "/etc"):
    assert not os.access(folder, os.W_OK), folder'
    rm -rf "$dist" "$out"
}

check_train() {
    image train --build-arg TORCH_INDEX="${TORCH_INDEX:-}"
    say "train: make smoke"
    # shellcheck disable=SC2046
    inside train $(borrowed) -- make smoke
}

check_tracking() {
    local password=$RANDOM$RANDOM id
    image tracking
    say "tracking: a PostgreSQL of its own, with a password"
    DATA=$(mktemp -d)
    chown postgres "$DATA"
    cd "$DATA"
    PATH=$PATH:$(echo /usr/lib/postgresql/*/bin)
    echo "$password" >password
    runuser -u postgres -- initdb --auth=scram-sha-256 --username=mlflow --pwfile=password db >/dev/null
    runuser -u postgres -- pg_ctl start --wait --pgdata=db --log=log \
        --options="-c port=$PG_PORT -c listen_addresses=127.0.0.1 -c unix_socket_directories=$DATA" >/dev/null
    trap 'stop; runuser -u postgres -- pg_ctl stop --pgdata="$DATA/db" --mode=fast >/dev/null; rm -rf "$DATA"' EXIT
    PGPASSWORD=$password createdb --host=127.0.0.1 --port=$PG_PORT --username=mlflow mlflow
    mkdir -m 777 artifacts
    serve "$password"
    id=$(client write)
    stop
    serve "$password"
    client read "$id"
    say "tracking: stopped and started again, the run $id is still there"
}

# The server in the background, once it is healthy; compose.yaml adds a read-only root and a second worker.
serve() {
    inside tracking --volume="$PWD/artifacts:/artifacts" --env=PGHOST=127.0.0.1 --env=PGPORT=$PG_PORT \
        --env=PGUSER=mlflow --env=PGDATABASE=mlflow --env=PGPASSWORD="$1" -- \
        mlflow server --host 127.0.0.1 --port $PORT --workers 1 >>server.log 2>&1 &
    for _ in $(seq 90); do
        curl --silent --fail --output /dev/null "http://127.0.0.1:$PORT/health" && return
        sleep 1
    done
    cat server.log
    return 1
}

# The server and its workers, which have the same address in their commands: to end what started them leaves them behind.
stop() {
    pkill -f -- "--host 127.0.0.1 --port $PORT" || return 0
    for _ in $(seq 60); do
        curl --silent --output /dev/null "http://127.0.0.1:$PORT/health" || return 0
        sleep 1
    done
    return 1
}

# client write | read ID: a run with a metric and a file, by a client in another container.
client() {
    inside tracking -- python3 -c '
import sys
from mlflow import MlflowClient
client = MlflowClient(sys.argv[1])
if sys.argv[2] == "write":
    run = client.create_run("0").info.run_id
    client.log_metric(run, "answer", 42.0)
    client.log_text(run, "shipped", "note.txt")
    print(run)
else:
    assert client.get_run(sys.argv[3]).data.metrics == {"answer": 42.0}
    assert open(client.download_artifacts(sys.argv[3], "note.txt")).read() == "shipped"
' "http://127.0.0.1:$PORT" "$@" | tail -1
}

sizes() {
    buildah images --format '{{.Name}} {{.Size}}' | sed -n 's/^localhost.genfoundry-//p' | sort -u
}

case ${1:-} in
    runtime) check_runtime "${2:?DIST, a folder of runs}" ;;
    train) check_train ;;
    tracking) check_tracking ;;
    sizes) sizes ;;
    *) sed -n '2,/^set/s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
