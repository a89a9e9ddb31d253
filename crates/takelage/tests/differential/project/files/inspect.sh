#!/bin/sh
# Run by the `script` tasks.
echo "arguments: $*"
echo "standard error" >&2
[ "$1" != fail ] || exit 7
