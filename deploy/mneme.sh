#!/bin/sh
# Starts Mneme in its image. MNEME_V8_FLAGS, such as --max-old-space-size=8192, go to the runtime.
exec deno run --quiet --allow-all --no-prompt --no-config --no-lock --no-remote --no-npm \
  --no-code-cache --unstable-no-legacy-abort ${MNEME_V8_FLAGS:+"--v8-flags=$MNEME_V8_FLAGS"} \
  /app/cmd/main.js "$@"
