#!/bin/sh
# Starts a command from a checkout with the least permissions it needs: deploy/run.sh store --data-dir=…
here=$(dirname "$0")
. "$here/permissions.sh"
mneme_exec "${MNEME_DENO:-deno}" "--quiet --frozen $(mneme_v8 "${1:-}")" "$here/../cmd/main.ts" "$@"
