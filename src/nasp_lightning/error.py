"""The one error that users see.

Raise :class:`NaspError` for everything a user can put right. Its message names the file or
the setting, the value, and the remedy; the command line prints it alone, without a traceback.
"""

from __future__ import annotations


class NaspError(Exception):
    """Bad input or a missing resource, in words that say what to do next."""


def check_whole(setting: str, value: object, least: int = 1) -> int:
    """Give a setting's value back if it is a whole number.

    Args:
        setting: its name, such as ``data.batch_size``.
        value: what the user gave.
        least: that it may be.

    Raises:
        NaspError: if it is none, or too small.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise NaspError(f"{setting}={value}: it must be a whole number, at least {least}")
    return value
