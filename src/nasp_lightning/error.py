"""The one error that users see.

Raise :class:`NaspError` for everything a user can put right. Its message names the file or
the setting, the value, and the remedy; the command line prints it alone, without a traceback.
"""

from __future__ import annotations


class NaspError(Exception):
    """Bad input or a missing resource, in words that say what to do next."""
