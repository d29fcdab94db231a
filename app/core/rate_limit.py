"""Token buckets per caller, in this process's memory. Knows nothing of HTTP."""

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable

_MAX_CALLERS = 100_000


class RateLimiter:
    """`per_minute` takes per caller and minute, with bursts of as many; 0 limits nothing.

    Each server process counts on its own, so with WORKERS=4 a caller may get up to four times the rate. That is enough
    to keep one client from crowding out the others; an exact limit belongs into the proxy.
    """

    def __init__(self, per_minute: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._capacity = float(per_minute)
        self._per_second = per_minute / 60
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str) -> int | None:
        """Take one token: None when there was one, else the whole seconds until there is."""
        if not self._capacity:
            return None
        now = self._clock()
        tokens, updated_at = self._buckets.pop(caller, (self._capacity, now))
        tokens = min(self._capacity, tokens + (now - updated_at) * self._per_second)
        has_token = tokens >= 1
        self._buckets[caller] = (tokens - 1 if has_token else tokens, now)
        if len(self._buckets) > _MAX_CALLERS:
            self._buckets.popitem(last=False)
        return None if has_token else math.ceil((1 - tokens) / self._per_second)


def subscriber_of(address: str) -> str:
    """Whom an IP address stands for: itself, of IPv6 its network of 64 bits, all of which one subscriber has.

    An IPv4 address written as IPv6 is the IPv4 address; what is no address stands for itself. Source: RFC 6177.
    """
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    return str(parsed.ipv4_mapped or ipaddress.IPv6Network((int(parsed) >> 64 << 64, 64)))
