"""Logarithms used by several densities, and the limits of float64."""

import math

import torch

LOG_2 = math.log(2)
LOG_2PI = math.log(2 * math.pi)

EPS, TINY = torch.finfo(torch.float64).eps, torch.finfo(torch.float64).tiny
