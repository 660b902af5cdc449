#!/usr/bin/env bash
# Builds the image and checks a container of it, with the network off: a JupyterLab that is soon there,
# lets nobody in without its token, runs a lesson and ends when it is told to. Prints times and sizes.
#
#   docker/test.sh [BASE_IMAGE [RUNTIME_IMAGE]]
#
# NOTEBOOK names another lesson than the first, DEVICE=cpu the smaller image. BUILDER is docker, podman or
# buildah; by default, the first of these that works. Buildah needs to be root here, for the network of its own.
set -euo pipefail
cd "$(dirname "$0")/.."

BASE_IMAGE=${1:-docker.io/library/rust:1.95-bookworm}
RUNTIME_IMAGE=${2:-docker.io/library/debian:bookworm-slim}
NOTEBOOK=${NOTEBOOK:-01-bottleneck-arithmetic.ipynb}
IMAGE=localhost/googlenet-lab:test
NAME=googlenet-lab-test-$$
LOG=$(mktemp)

works() {
    case $1 in
    docker) docker info ;;
    podman) podman info ;;
    buildah) buildah info ;;
    esac >/dev/null 2>&1
}

BUILDER=${BUILDER:-$(for name in docker podman buildah; do if works "$name"; then echo "$name" && break; fi; done)}
[[ -n $BUILDER ]] || { echo "error: neither docker nor podman nor buildah works here" >&2; exit 1; }

# `start` begins a container, `inside` runs a program in it, `stop` ends it as `docker stop` does and
# fails unless it ended well.
case $BUILDER in
docker | podman)
    build() {
        local format=()
        [[ $BUILDER == docker ]] || format=(--format docker)
        "$BUILDER" build "${format[@]}" "$@" .
    }
    start() { "$BUILDER" run --detach --network none --name "$NAME" "$IMAGE" >/dev/null; }
    inside() { "$BUILDER" exec "$NAME" "$@"; }
    log() { "$BUILDER" logs "$NAME" 2>&1; }
    stop() {
        "$BUILDER" stop -t 20 "$NAME" >/dev/null
        [[ $("$BUILDER" inspect --format '{{.State.ExitCode}}' "$NAME") == 0 ]]
    }
    size() { "$BUILDER" images --format '{{.Size}}' "$IMAGE"; }
    written() { "$BUILDER" ps --size --filter "name=$NAME" --format '{{.Size}}'; }
    remove() { "$BUILDER" rm --force "$NAME" >/dev/null 2>&1 || true; }
    ;;
buildah)
    # No daemon and no namespaces but the network's: this works in a container too.
    build() { buildah bud --isolation chroot --format docker --layers "$@" .; }
    # Not `ip netns exec`: each would have mounts of its own, and they run in one container.
    run() { nsenter --net="/run/netns/$NAME" buildah run --isolation chroot "$NAME" -- "$@"; }
    configured() { buildah inspect --type image --format "{{range .Docker.Config.$1}}{{println .}}{{end}}" "$IMAGE"; }
    start() {
        ip netns add "$NAME"
        ip netns exec "$NAME" ip link set lo up
        buildah from --name "$NAME" "$IMAGE" >/dev/null
        mapfile -t command < <(configured Entrypoint | grep . && configured Cmd | grep .)
        run "${command[@]}" >"$LOG" 2>&1 </dev/null &
        server=$!
    }
    inside() { run "$@"; }
    log() { cat "$LOG"; }
    stop() {
        local process
        for process in $(ip netns pids "$NAME"); do
            if [[ $(cat "/proc/$process/comm") == tini ]]; then kill -TERM "$process"; fi
        done
        wait "$server"
    }
    size() { buildah images --format '{{.Size}}' "$IMAGE"; }
    written() {
        local mounted
        mounted=$(buildah mount "$NAME")
        du --summarize --human-readable "$(dirname "$mounted")/diff" | cut --fields=1
    }
    remove() {
        ip netns pids "$NAME" 2>/dev/null | xargs --no-run-if-empty kill -KILL 2>/dev/null || true
        ip netns delete "$NAME" 2>/dev/null || true
        buildah rm "$NAME" >/dev/null 2>&1 || true
    }
    ;;
esac
trap 'remove; rm -f "$LOG"' EXIT

now() { date +%s.%N; }
since() { awk -v from="$1" -v to="$(now)" 'BEGIN { printf "%.1f s", to - from }'; }
fail() {
    echo "FAILED: $1" >&2
    log >&2
    exit 1
}

arguments=(--file docker/Dockerfile --tag "$IMAGE")
arguments+=(--build-arg "BASE_IMAGE=$BASE_IMAGE" --build-arg "RUNTIME_IMAGE=$RUNTIME_IMAGE")
[[ -z ${DEVICE:-} ]] || arguments+=(--build-arg "DEVICE=$DEVICE")
[[ -z ${TORCH_INDEX:-} ]] || arguments+=(--build-arg "TORCH_INDEX=$TORCH_INDEX")
[[ -z ${CARGO_BUILD_JOBS:-} ]] || arguments+=(--build-arg "CARGO_BUILD_JOBS=$CARGO_BUILD_JOBS")
began=$(now)
build "${arguments[@]}"
echo "== built by $BUILDER in $(since "$began") on $BASE_IMAGE and $RUNTIME_IMAGE"

began=$(now)
start
# What the image's HEALTHCHECK runs, without its pauses.
until inside python /lab/docker/health.py 2>/dev/null; do
    (($(date +%s) - ${began%.*} < 60)) || fail "it is not healthy after 60 s"
    sleep 0.2
done
echo "== healthy after $(since "$began")"

inside python /lab/docker/check.py "$NOTEBOOK" || fail "see above"
if log | grep --quiet --fixed-strings "$(inside cat /home/lab/.jupyter-token)"; then
    fail "the token stands in the log"
fi
echo "== refused without a token, $NOTEBOOK ran, and the token is not in the log"

echo "== image: $(size)"
echo "== MB in it by folder, with what the lesson has left:"
inside du --summarize --block-size=1M /usr /opt/rust /lab/.venv /home/lab/.cargo /home/lab/.cache ||
    fail "sizes"
echo "== written by the container: $(written)"

began=$(now)
stop || fail "it did not end well"
echo "== stopped in $(since "$began")"
echo "PASSED"
