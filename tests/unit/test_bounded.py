"""What hooks keep."""

import pytest

from ansible_mitogen.hooks.bounded import BoundedCache


def test_it_is_made_once_for_a_key_until_there_are_too_many() -> None:
    cache, made = BoundedCache(2), []

    def get(key: str) -> str:
        value: str = cache.get(key, lambda: made.append(key) or key.upper())
        return value
    assert [get(key) for key in 'abab'] == ['A', 'B', 'A', 'B']
    assert made == ['a', 'b']
    assert [get(key) for key in 'cab'] == ['C', 'A', 'B']
    assert made == ['a', 'b', 'c', 'a', 'b']


def test_an_error_is_not_kept() -> None:
    cache = BoundedCache(2)
    with pytest.raises(ZeroDivisionError):
        cache.get('a', lambda: 1 / 0)
    assert cache.get('a', lambda: 1) == 1
