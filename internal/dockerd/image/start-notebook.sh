#!/bin/bash
# The image's command: under a hub the hub's server, else JupyterLab by itself.
set -eu

[ -z "${JUPYTERHUB_API_TOKEN:-}" ] || exec start-singleuser.sh "$@"
# shellcheck disable=SC2086 # it is a list of arguments
exec jupyter lab --ip=0.0.0.0 ${NOTEBOOK_ARGS:-} "$@"
