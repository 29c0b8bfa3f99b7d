"""Types what stands in docs/quickstart.md, and holds the answers against those that stand there."""

import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import threading

import pytest

from conftest import DEADLINE_S, REAL_BINARY, embedded_only
from ports import free_port

pytestmark = embedded_only("it begins with `posthaste dev`, which has a store of its own")

TEXT = (pathlib.Path(__file__).parent.parent.parent / "docs" / "quickstart.md").read_text()
BLOCKS = re.findall(r"^```(\S+) ?(\S*)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
MASKS = [
    (r"\b(msg|evt)_[0-9A-Za-z]{20,}", r"\1_ID"),
    (r"/in/[0-9A-Za-z]{32}", "/in/DOOR"),
    (r"\bphk_[0-9a-f]{64}\b", "phk_TOKEN"),
    (r"\d\d:\d\d:\d\d\.\d{3}", "TIME"),
    (r"\b\d+ ms\b", "N ms"),
    (r"posthaste \d+\.\d+\.\d+", "posthaste VERSION"),
]


def masked(text):
    for pattern, mask in MASKS:
        text = re.sub(pattern, mask, text)
    return [line.rstrip() for line in text.splitlines()]


class Desk:
    """A directory with two terminals: one for what goes on, one to type in."""

    def __init__(self, home):
        self.home, self.running = home, []
        # Other tests may be at the ports that a reader uses.
        self.ports = {"8071": str(free_port()), "3000": str(free_port())}
        bin_dir = home / "bin"
        bin_dir.mkdir()
        (bin_dir / "posthaste").symlink_to(os.path.abspath(REAL_BINARY))
        env = {name: value for name, value in os.environ.items() if not name.startswith("POSTHASTE_")}
        server = {"POSTHASTE_SERVER": f"http://127.0.0.1:{self.ports['8071']}"}
        self.env = env | server | {"PATH": f"{bin_dir}:{env['PATH']}", "HOME": str(home)}
        # On a terminal curl would be as silent.
        (home / ".curlrc").write_text("silent\n")
        self.screen, self.changed, self.door = [], threading.Condition(), None

    def here(self, text):
        for usual, port in self.ports.items():
            for before in (":", ", ", "listen "):
                text = text.replace(before + usual, before + port)
        return text

    def there(self, text):
        for usual, port in self.ports.items():
            text = text.replace(f":{port}", f":{usual}")
        return text

    def goes_on(self, command):
        process = subprocess.Popen(command, env=self.env, cwd=self.home, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.running.append(process)

        def drain():
            for line in process.stdout:
                with self.changed:
                    door = re.search(r"Your bin +http://[^/]+(/in/\w+)", line)
                    self.door = door[1] if door else self.door
                    self.screen += masked(self.there(line))
                    self.changed.notify_all()

        threading.Thread(target=drain, daemon=True).start()
        return process

    def shows(self, lines):
        """Waits until these lines are on the screen, in their order."""

        def there():
            seen = iter(self.screen)
            return all(line in seen for line in lines)

        with self.changed:
            assert self.changed.wait_for(there, DEADLINE_S), (lines, self.screen)

    def answers(self, port):
        """Waits until somebody listens."""
        for _ in range(100_000):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", int(port))) == 0:
                    return
        raise AssertionError(f"nobody listens on {port}")

    def types(self, block):
        """Types the commands of a block, and returns what they answer."""
        commands = [line[2:] for line in block.splitlines() if line.startswith("$ ")]
        script = self.here("\n".join(commands))
        # The reader copies it from the screen.
        script = re.sub(r"/in/\w{32}", lambda _: self.door, script)
        done = subprocess.run(
            ["sh", "-c", script], env=self.env, cwd=self.home, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=DEADLINE_S
        )
        assert done.returncode == 0, done.stdout
        return masked(self.there(done.stdout))

    def close(self):
        for process in self.running:
            process.send_signal(signal.SIGINT)
        for process in self.running:
            try:
                process.wait(DEADLINE_S)
            except subprocess.TimeoutExpired:
                process.kill()


@pytest.fixture
def desk(tmp_path):
    desk = Desk(tmp_path)
    yield desk
    desk.close()


def expected(block):
    return masked("\n".join(line for line in block.splitlines() if not line.startswith("$ ")))


def knows(desk, command):
    return subprocess.run(["posthaste", command, "--help"], env=desk.env, capture_output=True).returncode == 0


def test_the_first_ten_minutes_are_as_they_are_told(desk):
    typed_count = 0
    for language, name, block in BLOCKS:
        if language == "python":
            (desk.home / name).write_text(desk.here(block))
            desk.goes_on([sys.executable, name])
            desk.answers(desk.ports["3000"])
        elif name == "screen":
            if block.startswith("$ "):
                assert block.splitlines()[0] == "$ posthaste dev"
                desk.goes_on(["posthaste", "dev", "--listen", f"127.0.0.1:{desk.ports['8071']}"])
            desk.shows([line for line in expected(block) if line])
        elif name == "listen":
            if knows(desk, "listen"):
                (command,) = block.splitlines()[:1]
                desk.goes_on(desk.here(command[2:]).split())
                with desk.changed:
                    assert desk.changed.wait_for(lambda: any("ready" in line for line in desk.screen), DEADLINE_S), desk.screen
        else:
            assert language == "sh" and not name, (language, name)
            assert desk.types(block) == expected(block)
            typed_count += 1
    assert typed_count == TEXT.count("\n```sh\n") >= 7
