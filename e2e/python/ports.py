"""Ports for servers that must know theirs beforehand."""

import random
import socket

# Below what Linux gives to whoever asks for any port, from 32768: nobody gets it in between by chance.
FIRST, LAST = 20_000, 32_000
_dice = random.SystemRandom()


def free_port():
    """A port of loopback that nobody has now."""
    while True:
        port = _dice.randrange(FIRST, LAST)
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue
