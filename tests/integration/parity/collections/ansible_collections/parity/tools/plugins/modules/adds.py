#!/usr/bin/python
import os
import time

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.deep import numbers


def main():
    module = AnsibleModule(argument_spec={
        'number': {'type': 'int', 'default': 2}, 'seconds': {'type': 'float', 'default': 0.0},
        'path': {'type': 'path'}, 'fail': {'type': 'bool', 'default': False}}, supports_check_mode=True)
    time.sleep(module.params['seconds'])
    if module.params['path']:
        with open(module.params['path'], 'a') as stream:
            stream.write('%d\n' % module.params['number'])
    from ansible_collections.parity.tools.plugins.module_utils.arithmetic import add
    if module.params['fail']:
        module.fail_json(msg='no more than %d' % numbers.BASE)
    module.exit_json(changed=True, sum=add(module.params['number']), mark=os.environ.get('PARITY_MARK'))


if __name__ == '__main__':
    main()
