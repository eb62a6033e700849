"""The guard around code that is not ours: plugins, local engines, observers and package metadata.

::

    try:
        name = plugin.name
    except foreign_errors() as error:
        ...
"""

from __future__ import annotations

import sys


def foreign_errors() -> tuple[type[BaseException], ...]:
    """Return the errors that an ``except`` clause around foreign code handles: all but KeyboardInterrupt.

    Call it in the clause itself. Python evaluates that expression only after an error was raised, so a call
    that succeeds pays nothing for its guard.
    """
    # Not just Exception. Engines written in other languages raise errors of their own (PyO3's PanicException
    # is a BaseException), and SystemExit would end the hub's thread instead of the program. The guarded calls
    # don't wait, so a CancelledError or GeneratorExit comes from the foreign code as well and not from the
    # event loop. KeyboardInterrupt is different: Ctrl-C strikes wherever the main thread happens to be.
    return () if isinstance(sys.exception(), KeyboardInterrupt) else (BaseException,)
