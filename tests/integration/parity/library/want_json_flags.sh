#!/bin/bash -eu
# WANT_JSON
echo '{"changed": false}'
