"""Imported by the role's module."""


def double(number):
    """Twice the number."""
    return 2 * number
