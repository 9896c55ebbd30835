"""Servers as child processes."""

from deploy.server_process import free_port


def test_no_port_is_given_twice() -> None:
    """A server that has yet to start, or is down for a moment, keeps its port."""
    ports = [free_port() for _ in range(1000)]

    assert len(set(ports)) == 1000
