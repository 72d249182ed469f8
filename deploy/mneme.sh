#!/bin/sh
# Starts Mneme in its image, with the least permissions its flags need.
. /app/permissions.sh
mneme_exec deno "--quiet --no-config --no-lock --no-remote --no-npm --no-code-cache \
  --unstable-no-legacy-abort $(mneme_v8 "${1:-}")" \
  /app/cmd/main.js "$@"
