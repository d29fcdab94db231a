"""Who counts as one caller."""

import pytest

from app.core.rate_limit import RateLimiter, subscriber_of


@pytest.mark.parametrize(
    ("address", "subscriber"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2::5", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"),
        ("2001:db8::5", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("unknown", "unknown"),
        ("a:b", "a:b"),
    ],
)
def test_an_ipv6_network_is_one_subscriber(address: str, subscriber: str) -> None:
    assert subscriber_of(address) == subscriber


def test_addresses_of_one_network_share_one_bucket() -> None:
    limiter = RateLimiter(2, clock=lambda: 0.0)
    assert [limiter.take(subscriber_of(f"2001:db8::{n}")) for n in (1, 2, 3)] == [None, None, 30]
    assert limiter.take(subscriber_of("2001:db8:0:1::1")) is None
