#!/bin/sh
given='<<INCLUDE_ANSIBLE_MODULE_JSON_ARGS>>'
printf '{"changed": false, "has": %s}\n' "$(printf %s "$given" | grep -c '"word": "plain"')"
