"""Tables of jitter distributions, in the format of netem.

netem multiplies the jitter by a number drawn from a table of the inverse cumulative
distribution, in units of 1/8192 (NETEM_DIST_SCALE). iproute2 contains such tables as files, but not
every distribution's package installs them. These are computed, so they are the same everywhere.

Source: iproute2, netem/{normal,pareto,paretonormal,maketable}.c
"""

from __future__ import annotations

from functools import cache

_SCALE = 8192
_SIZE = 4096
_LEAST, _MOST = -32768, 32767
#: The exponent of iproute2's pareto.c.
_PARETO_ALPHA = 3.0


def _clamp(value: float) -> int:
    return max(_LEAST, min(_MOST, round(value * _SCALE)))


def _normal() -> list[float]:
    from statistics import NormalDist  # noqa: PLC0415 -- takes 20 ms, and is needed only here

    inverse = NormalDist().inv_cdf
    return [inverse((i + 0.5) / _SIZE) for i in range(_SIZE)]


def _pareto() -> list[float]:
    # Values 1/u^(1/a) with mean a/(a-1), shifted to mean 0 and scaled to deviation 1.
    mean = _PARETO_ALPHA / (_PARETO_ALPHA - 1)
    deviation = (_PARETO_ALPHA / ((_PARETO_ALPHA - 1) ** 2 * (_PARETO_ALPHA - 2))) ** 0.5
    return [((1 - (i + 0.5) / _SIZE) ** (-1 / _PARETO_ALPHA) - mean) / deviation for i in range(_SIZE)]


@cache
def table(name: str) -> tuple[int, ...]:
    """The table of a distribution: ``normal``, ``pareto`` or ``paretonormal``.

    Returns:
        4096 numbers in units of 1/8192 of the jitter, in increasing order.
    """
    if name == "normal":
        values = _normal()
    elif name == "pareto":
        values = _pareto()
    else:
        # As in iproute2: one quarter normal, three quarters Pareto.
        values = [0.25 * normal + 0.75 * pareto for normal, pareto in zip(_normal(), _pareto(), strict=True)]
    return tuple(_clamp(value) for value in values)
