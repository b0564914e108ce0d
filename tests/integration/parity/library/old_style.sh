#!/bin/bash
# Old style: a file of `key=value` pairs, quoted for a shell.
. "$1"
printf '{"changed": true, "first": "%s", "second": "%s", "name": "%s"}\n' "$first" "$second" "${0##*/}"
