# Sourced by the scripts beside it: headings with times, and where things are.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

# What CI makes besides cargo's own output: the virtual environment, logs. Below target/, so git ignores it.
made=${CARGO_TARGET_DIR:-$root/target}/ci
mkdir -p "$made"

# The Python environment: the pinned one, or one with another ansible-core, as `TAKELAGE_TEST_ANSIBLE_CORE=2.16`.
core=${TAKELAGE_TEST_ANSIBLE_CORE:-}
venv=$made/venv${core:+-ansible-core-$core}

export CI=true CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-never}
export PATH=$venv/bin:${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
exec </dev/null

# step HEADING COMMAND…: says what runs, runs it, and says how long it took.
step() {
    local heading=$1 began=$SECONDS status=0
    shift
    printf '\n==> %s\n' "$heading"
    # The subshell takes the command's own `set -e` along, which a plain `|| status=$?` would switch off.
    set +e
    (set -e; "$@")
    status=$?
    set -e
    if [ "$status" -ne 0 ]; then
        printf '==> %s: FAILED with status %s after %s s\n' "$heading" "$status" "$((SECONDS - began))" >&2
        exit "$status"
    fi
    printf '==> %s: done in %s s\n' "$heading" "$((SECONDS - began))"
}

die() {
    printf 'error: %s\n' "$1" >&2
    if [ -n "${2:-}" ]; then printf '\nhint: %s\n' "$2" >&2; fi
    exit 1
}
