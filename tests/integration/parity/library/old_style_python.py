#!/usr/bin/python3
# Old style: no AnsibleModule, arguments as text.
import json
import shlex
import sys

with open(sys.argv[1]) as stream:
    pairs = dict(word.split('=', 1) for word in shlex.split(stream.read()) if not word.startswith('_ansible'))
print(json.dumps({'changed': False, 'pairs': pairs, 'arguments': len(sys.argv)}))
