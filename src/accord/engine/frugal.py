"""Memory that is freed goes back to the system at once.

The C library keeps freed pieces for the next of their size.  Where gradients, which stay, are made
between activations, which go, much of that lies idle between them.
"""

import contextlib
import ctypes

LEAST = 1 << 20
"""bytes from which on a piece of memory is the system's own, and goes back to it when freed"""
_MMAP_THRESHOLD = -3


def frugal() -> bool:
    """From now on this process keeps no large freed pieces, whether it could be told so (glibc).

    Each of them is then made anew, page by page, which takes time: where memory is to be saved.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):
        return bool(ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, LEAST))
    return False
