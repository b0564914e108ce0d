"""Start Python in other places, call functions there, import code from here."""

__version__ = '0.1.0'
