"""Order events so that causes come before their effects, where their times are equal.

The clock of the lab kernel does not advance while the kernel computes: on a link without delay, the sending of a
segment, its arrival, the sending of the response and its arrival have the same time.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any


def arrange(ranks: Sequence[Any], pairs: Iterable[tuple[int, int]]) -> list[int]:
    """Sort events topologically, ties broken by rank.

    Args:
        ranks: A rank per event, of a type that can be compared.
        pairs: Indices of two events, of which the first must come before the second.

    Returns:
        The indices of all events in order. Damaged data may contain a cycle: then the remaining event of the lowest
        rank is next.
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
