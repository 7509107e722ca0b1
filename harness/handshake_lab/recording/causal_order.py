"""An order in which causes come before effects, where times alone do not give it.

The lab's clock stands still while the kernel computes: on a link without delay, what leaves a
host, arrives at another, is answered and comes back has one and the same nanosecond.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any


def arrange(ranks: Sequence[Any], pairs: Iterable[tuple[int, int]]) -> list[int]:
    """Sort places topologically, ties broken by rank.

    Args:
        ranks: What each place is to be sorted by where nothing else tells, of a kind that can be compared.
        pairs: Places of which the first must come before the second.

    Returns:
        All places. Damaged data may hold a circle: then the lowest of what is left goes first.
    """
    after: list[set[int]] = [set() for _ in ranks]
    for before, effect in pairs:
        if before != effect:
            after[before].add(effect)
    waiting = [0] * len(ranks)
    for effects in after:
        for effect in effects:
            waiting[effect] += 1
    ready = [(rank, place) for place, rank in enumerate(ranks) if not waiting[place]]
    heapq.heapify(ready)
    left = set(range(len(ranks)))
    ordered: list[int] = []
    while left:
        place = heapq.heappop(ready)[1] if ready else min(left, key=lambda each: (ranks[each], each))
        left.remove(place)
        ordered.append(place)
        for effect in after[place]:
            waiting[effect] -= 1
            if not waiting[effect] and effect in left:
                heapq.heappush(ready, (ranks[effect], effect))
    return ordered
