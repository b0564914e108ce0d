"""Imported by the collection's modules; imports the rest of its package itself."""
from .deep.numbers import BASE


def add(number):
    return BASE + number
