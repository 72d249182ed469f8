# The least permissions of a command line of Mneme; sourced by the scripts that start it.
#
#   mneme_exec <deno> <options of deno, separated by blanks> <program> <command> [<flag> ...]
#
# Reads the flags: only the folders they name may be written to, only the sidecar's reloader with
# --reloader.method=signal may send signals, and nothing may start programs or load native code.
#
#   MNEME_WRITE=/a,/b   further folders that may be written to
#   MNEME_READ=/a,/b    only these (and Mneme's own folder) may be read; default: everything
#   MNEME_NET=h:1,h:2   only these may be listened on and connected to; default: everything but, for
#                       the querier, the metadata services of clouds
#   MNEME_ENV=A,B       further environment variables that may be read, for $(A) in configurations
#   MNEME_PERMISSIONS=all  everything, as without these rules
# mneme_v8 <command>: flags of V8. Small semi-spaces save up to 80 MB; what the compactor works on lies
# outside V8's heap. MNEME_V8_FLAGS, such as --max-old-space-size=8192, are added.
mneme_v8() {
  case ${1:-} in
    compact) semi=4 ;;
    *) semi=8 ;;
  esac
  printf '%s' "--v8-flags=--max-semi-space-size=$semi${MNEME_V8_FLAGS:+,$MNEME_V8_FLAGS}"
}
mneme_exec() {
  deno=$1 options=$2 program=$3
  shift 3
  if [ "${MNEME_PERMISSIONS:-}" = all ]; then
    # shellcheck disable=SC2086
    exec "$deno" run $options --allow-all --no-prompt "$program" "$@"
  fi
  write=${MNEME_WRITE:-} run=no expected='' data='' command='' words=''
  note_write() { [ -z "$1" ] || write="$write${write:+,}$1"; }
  # A bucket in a folder is written to by everybody who has one.
  note_bucket() {
    note_write "$(printf '%s\n' "$1" | sed -n 's/^.*"\{0,1\}directory"\{0,1\}:[[:blank:]]*["'\'']\{0,1\}\([^"'\'',}]*\).*$/\1/p' | head -n 1)"
  }
  note() {
    case $1 in
      --data-dir | --tsdb.path) data=given && note_write "$2" ;;
      --output.dir | --query.active-query-path) note_write "$2" ;;
      --reloader.config-envsubst-file) note_write "$2,$2.tmp,$(dirname "$2")" ;;
      --objstore.config) note_bucket "$2" ;;
      --objstore.config-file) [ ! -r "$2" ] || note_bucket "$(cat "$2")" ;;
      --reloader.method) [ "$2" != signal ] || run=yes ;;
    esac
  }
  look_at() {
    if [ -n "$expected" ]; then
      note "$expected" "$1"
      expected=''
      return
    fi
    case $1 in
      --data-dir=* | --tsdb.path=* | --output.dir=* | --query.active-query-path=* | \
      --reloader.config-envsubst-file=* | --objstore.config=* | --objstore.config-file=* | \
      --reloader.method=*) note "${1%%=*}" "${1#*=}" ;;
      --data-dir | --tsdb.path | --output.dir | --query.active-query-path | \
      --reloader.config-envsubst-file | --objstore.config | --objstore.config-file | \
      --reloader.method | \
      --log.level | --log.format | --debug.name | --tracing.config | --tracing.config-file | \
      --auto-gomemlimit.ratio) expected=$1 ;;
      -*) ;;
      *) command=${command:-$1} words="$words $1" ;;
    esac
  }
  for argument in "$@"; do
    case $argument in
      @*)
        [ ! -r "${argument#@}" ] || while IFS= read -r line || [ -n "$line" ]; do
          case $line in '' | '#'*) ;; *) look_at "$line" ;; esac
        done <"${argument#@}"
        ;;
      *) look_at "$argument" ;;
    esac
  done
  case $words in
    ' tools bucket verify'*) note_write "${TMPDIR:-/tmp}" ;;
    ' tools bucket downsample'* | ' compact'* | ' sidecar'* | ' store'* | ' standalone'*)
      [ -n "$data" ] || note_write ./data ;;
  esac
  set -- "$program" "$@"
  # Credentials and proxies; other variables read as if they were not set.
  names="HOME,AWS_*,AZURE_*,GOOGLE_*,IDENTITY_*,MSI_*,STORAGE_EMULATOR_HOST"
  names="$names,HTTP_PROXY,HTTPS_PROXY,NO_PROXY,http_proxy,https_proxy,no_proxy,OTEL_*,NO_COLOR,JOURNAL_STREAM"
  set -- --no-prompt --ignore-env "--allow-env=$names${MNEME_ENV:+,$MNEME_ENV}" \
    "--allow-sys=osRelease,networkInterfaces,hostname,loadavg,systemMemoryInfo,cpus,statfs" "$@"
  if [ "$run" = yes ]; then set -- --allow-run "$@"; else set -- --deny-run "$@"; fi
  [ -z "$write" ] || set -- "--allow-write=$write" "$@"
  if [ -n "${MNEME_READ:-}" ]; then
    set -- "--allow-read=$MNEME_READ,$(dirname "$program"),/proc/self${write:+,$write}" "$@"
  else set -- --allow-read "$@"; fi
  if [ -n "${MNEME_NET:-}" ]; then set -- "--allow-net=$MNEME_NET" "$@"
  elif [ "$command" = query ]; then
    set -- --allow-net --deny-net=169.254.169.254,169.254.170.2,[fd00:ec2::254] "$@"
  else set -- --allow-net "$@"; fi
  # shellcheck disable=SC2086
  exec "$deno" run $options --deny-ffi "$@"
}
