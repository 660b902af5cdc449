#!/bin/sh
# Runs a command, by default JupyterLab, with the lessons in the work folder and a token that stands
# neither in the log nor in the environment of the cells.
set -eu

work=/lab/notebooks
if ! mkdir -p "$work/runs" || ! [ -w "$work" ]; then
    echo "error: user $(id -u) cannot write to $work: give the mounted folder to that user, or build" \
        "the image with --build-arg UID=N for the user N who owns it" >&2
    exit 1
fi
# What is there already stays as it is.
cp -rn /lab/lessons/. "$work"

# JupyterLab would write a token of its own making into the log. JupyterHub lets people in its own way.
if [ -z "${JUPYTERHUB_API_TOKEN:-}" ]; then
    token=${JUPYTER_TOKEN:-$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')}
    unset JUPYTER_TOKEN
    export JUPYTER_TOKEN_FILE="$HOME/.jupyter-token"
    (umask 077 && printf %s "$token" >"$JUPYTER_TOKEN_FILE")
    echo "The token that JupyterLab asks for is told by: docker exec CONTAINER cat $JUPYTER_TOKEN_FILE"
fi
exec "$@"
