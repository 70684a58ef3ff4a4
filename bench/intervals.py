"""Medians of paired ratios and what may be said of them.

The interval is the order-statistics interval of the median: between the k-th smallest and the k-th largest of n values lies the
true median with probability 1 - 2 * P(Binomial(n, 1/2) < k), whatever the distribution (David & Nagaraja, Order Statistics,
3rd ed., section 7.1). k is the greatest one that keeps 95%: for n = 15 the 4th and 12th value, 96.5%.
"""
import math
import statistics
from dataclasses import dataclass

CONFIDENCE = 0.95


def coverage_of(n: int, k: int) -> float:
    """Probability that the median lies between the k-th smallest and the k-th largest of n values (k from 1)."""
    return 1 - 2 * sum(math.comb(n, i) for i in range(k)) / 2**n


@dataclass
class Estimate:
    median: float
    low: float
    high: float
    coverage: float  # of [low, high]; below CONFIDENCE when there are too few values
    count: int

    @property
    def certain(self) -> bool:
        return self.coverage >= CONFIDENCE


def estimate(values: list[float]) -> Estimate:
    ordered = sorted(values)
    n = len(ordered)
    k = 1
    while 2 * (k + 1) <= n and coverage_of(n, k + 1) >= CONFIDENCE:
        k += 1
    return Estimate(statistics.median(ordered), ordered[k - 1], ordered[n - k], max(0.0, coverage_of(n, k)), n)


def verdict(value: Estimate, bound: float, better: str) -> str:
    """`better` is "less" or "more". An interval across the bound decides nothing."""
    if not value.certain:
        return "not decided"
    if better == "more":
        return "met" if value.low >= bound else "missed" if value.high < bound else "not decided"
    return "met" if value.high <= bound else "missed" if value.low > bound else "not decided"
