#!/bin/bash
# WANT_JSON: the file holds an object.
printf '{"changed": false, "mark": "%s", "word": %s}\n' "$PARITY_MARK" "$(grep -o '"word": "[^"]*"' "$1" | cut -d' ' -f2-)"
