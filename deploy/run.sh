#!/bin/sh
# Starts a command from a checkout with the least permissions it needs: deploy/run.sh store --data-dir=…
here=$(dirname "$0")
. "$here/permissions.sh"
mneme_exec "${MNEME_DENO:-deno}" "--quiet --frozen --v8-flags=--max-semi-space-size=8${MNEME_V8_FLAGS:+,$MNEME_V8_FLAGS}" "$here/../cmd/main.ts" "$@"
