#!/bin/sh
# Starts Mneme in its image, with the least permissions its flags need. Small semi-spaces save up to
# 80 MB. MNEME_V8_FLAGS, such as --max-old-space-size=8192, go to the runtime as well.
. /app/permissions.sh
mneme_exec deno "--quiet --no-config --no-lock --no-remote --no-npm --no-code-cache \
  --unstable-no-legacy-abort --v8-flags=--max-semi-space-size=8${MNEME_V8_FLAGS:+,$MNEME_V8_FLAGS}" \
  /app/cmd/main.js "$@"
