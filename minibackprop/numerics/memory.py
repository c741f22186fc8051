"""Memory that is kept from step to step."""

from functools import cache

import numpy as np


@cache
def keep_freed_memory() -> None:
    """
    Let the C library keep what arrays leave behind, for the next step to use again; once for the process.

    A step frees as much as it takes. GNU's library gives large blocks, and the end of the heap, back to the system at
    once, which then clears each page anew: up to half of a step's time. It stops doing so for blocks up to the size of
    one that it has seen freed, so one is, of just less than the largest size that counts. Its pages are never touched.
    Up to 64 MB may then stay with the program. A second block comes from what is kept; NumPy asks Linux for huge pages
    for it, and so for the smaller arrays that follow in its place. Elsewhere, nothing changes.

    `Trainer` calls it; a training loop of your own may do so where it begins.

    Examples
    --------
    >>> keep_freed_memory()
    """
    for _ in range(2):
        np.empty(2**25 - 2**16, np.uint8)
