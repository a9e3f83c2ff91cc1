"""Logarithms used by several densities."""

import math

LOG_2 = math.log(2)
LOG_2PI = math.log(2 * math.pi)
