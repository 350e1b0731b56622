"""Decisions are pure: a test of theirs that opens a socket fails."""

import socket

import pytest


@pytest.fixture(autouse=True)
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection while a pure decision is tested."""

    def refuse(*_: object) -> None:
        raise AssertionError("a pure decision opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "bind", refuse)
