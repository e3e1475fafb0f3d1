#!/bin/bash
# The hub's server. It listens on all addresses of the container, unless the environment names one: only the published port leads to it.
set -eu

ip=--ip=0.0.0.0
case " ${NOTEBOOK_ARGS:-}" in *" --ip="*) ip= ;; esac
# shellcheck disable=SC2086 # they are lists of arguments
exec jupyterhub-singleuser $ip ${NOTEBOOK_ARGS:-} "$@"
