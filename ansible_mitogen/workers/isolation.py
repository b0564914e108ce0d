"""What a task in a thread gets of its own, which a forked process has by being a copy.

Only what ansible-core writes to is copied. Templates need no care: since 2.19 they work on copies.
"""

import copy
import dataclasses
import functools
from typing import Any

from ansible._internal._templating._lazy_containers import _AnsibleLazyTemplateMixin

from ansible_mitogen.workers.model import Job

#: Values of a task's attributes that are changed in place.
_CONTAINERS = (list, dict, set)


def isolated(job: Job) -> Job:
    """Return the job with copies of all that running it changes."""
    return dataclasses.replace(
        job, task=_own_task(job.task), host=_own_host(job.host), task_vars=_own_variables(job.task_vars),
        loader=_own_loader(job.loader), play_context=copy.copy(job.play_context))


def _own_task(task: Any) -> Any:
    # Not by its own method: that looks at some fifty attributes, one by one, and most of them have nothing to copy.
    own: Any = object.__new__(type(task))
    own.__dict__.update({name: copy.copy(value) if isinstance(value, _CONTAINERS) else value
                         for name, value in task.__dict__.items()})
    kind: Any = type(task)
    for name in _object_attributes(kind):
        # Objects, such as that of `loop_control`, get their final values in place.
        value: Any = getattr(own, '_' + name, None)
        if hasattr(value, 'copy'):
            setattr(own, name, value.copy())
    return own


@functools.cache
def _object_attributes(kind: Any) -> tuple[str, ...]:
    return tuple(name for name, attribute in kind.fattributes.items() if attribute.isa == 'class')


def _own_host(host: Any) -> Any:
    # Not copy.copy: that takes the groups apart and puts them together again.
    own: Any = object.__new__(type(host))
    own.__dict__.update(host.__dict__)
    return own


def _own_variables(variables: dict[str, Any]) -> dict[str, Any]:
    own = variables.copy()
    # The interpreter that is discovered is written into it.
    if isinstance(own.get('ansible_facts'), dict):
        own['ansible_facts'] = own['ansible_facts'].copy()
    return own


def _own_loader(loader: Any) -> Any:
    own = copy.copy(loader)
    # Those of this task only are removed at its end.
    own._tempfiles = set()
    return own


_ATOMS = frozenset([str, int, float, bool, bytes, type(None)])


def snapshot(value: Any) -> Any:
    """Return a copy of what a task hands over, down to what cannot be changed.

    :raises NotImplementedError: it holds values that are not final; to send it to another process would fail alike.
    """
    kind: Any = type(value)
    if kind in _ATOMS:
        return value
    if kind is dict:
        return {key: snapshot(item) for key, item in value.items()}
    if kind is list:
        return [snapshot(item) for item in value]
    if isinstance(value, _AnsibleLazyTemplateMixin):
        raise NotImplementedError('A result may not hold lazy values.')
    if isinstance(value, dict):
        return _refill_dict(copy.copy(value))
    if isinstance(value, list):
        own = copy.copy(value)
        own[:] = [snapshot(item) for item in value]
        return own
    names = _changeable_fields(kind)
    if names:
        own = copy.copy(value)
        for name in names:
            setattr(own, name, snapshot(getattr(value, name)))
        return own
    return value


def _refill_dict(own: Any) -> Any:
    for key, item in own.items():
        own[key] = snapshot(item)
    return own


@functools.cache
def _changeable_fields(kind: type) -> tuple[str, ...]:
    if not dataclasses.is_dataclass(kind) or kind.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        return ()
    return tuple(field.name for field in dataclasses.fields(kind))
