#!/usr/bin/python3
import json

ARGUMENTS = json.loads(r"""<<INCLUDE_ANSIBLE_MODULE_JSON_ARGS>>""")
print(json.dumps({'changed': False, 'given': {key: value for key, value in ARGUMENTS.items() if key[0] != '_'}}))
