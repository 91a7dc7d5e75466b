"""Local processes in the place of Docker containers.

pytest-celery reaches Docker through one fixture, ``docker_client``. Given a ``LocalDocker`` there, its
fixtures and node classes work as they are: a "container" is a process group with a directory of its own, a
"volume" is a directory, and the one port that a server publishes is a free port of 127.0.0.1.

What this is not: isolated. Nodes share the clock, the file system and the loopback with the tests.
"""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

from celery_groupfifo.testing import embedded
from celery_groupfifo.testing.children import dying_with_us, free_port
from tests.support.places import REPOSITORY
from tests.support.waiting import HUNG, until

# What each program logs when it is up. We return only then: pytest-docker-tools looks once a second.
READY = {"celery": b" ready.", "redis-server": b"Ready to accept connections"}


class LocalVolume:
    """A directory under the name of a volume."""

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self.path = path
        path.mkdir(parents=True)

    def remove(self, force: bool = False) -> None:
        shutil.rmtree(self.path, ignore_errors=True)


class LocalContainer:
    """A process group with docker-py's container interface, as far as pytest-docker-tools uses it.

    Args:
        root: The directory for its log and its data.
        volumes: Path inside the "container" → directory that stands for it.
        command: What to run; nothing for a container that only fills a volume.
        environment: Variables on top of those of the tests.
        ports: The ports to publish, as Docker writes them: ``{"6379/tcp": None}``.
        labels: Kept for pytest-docker-tools.
        image: Ignored, but named in messages.
    """

    def __init__(
        self,
        root: Path,
        volumes: Mapping[str, Path],
        command: Sequence[str] | None = None,
        environment: Mapping[str, str] | None = None,
        ports: Mapping[str, Any] | None = None,
        labels: Mapping[str, str] | None = None,
        image: str = "",
        **ignored: Any,
    ) -> None:
        self.id = uuid.uuid4().hex
        self.name = f"local-{self.id[:12]}"
        self.image = image
        self.labels = dict(labels or {})
        self.root = root / self.name
        self.root.mkdir()
        self._log = self.root / "log"
        self._volumes = volumes
        self._command = list(command or ())
        self._environment = dict(environment or {})
        self._ports = {name: free_port() for name in ports or {}}
        self._process: subprocess.Popen[bytes] | None = None
        self.attrs = self._attributes()
        if self._command:
            self.start()

    def _attributes(self) -> dict[str, Any]:
        # Peers reach a server under its hostname, with no port: here the port has to be part of it.
        hostname = ":".join(["127.0.0.1", *map(str, self._ports.values())])
        published = {name: [{"HostIp": "127.0.0.1", "HostPort": str(port)}] for name, port in self._ports.items()}
        return {
            "Config": {
                "Hostname": hostname,
                "Env": [f"{name}={value}" for name, value in self._environment.items()],
                "Labels": self.labels,
            },
            "HostConfig": {"PortBindings": {}},
            "NetworkSettings": {"Networks": {"local": {"IPAddress": "127.0.0.1"}}, "Ports": published},
            "Mounts": [],
        }

    # What runs, and where

    @property
    def _directory(self) -> Path:
        return next(iter(self._volumes.values()), self.root)

    def _outside(self, path: str) -> str:
        """The place on this machine of a path inside the container."""
        for inside, directory in self._volumes.items():
            if path == inside or path.startswith(f"{inside}/"):
                return f"{directory}{path.removeprefix(inside)}"
        return path

    def _arguments(self, command: Sequence[str]) -> list[str]:
        program, *rest = (self._outside(word).replace("%h", self.id[:12]) for word in command)
        if program == "redis-server":
            port = str(next(iter(self._ports.values())))
            at = ["--port", port, "--bind", "127.0.0.1", "--dir", str(self.root)]
            return [embedded.choose_binary().path, *at, *rest]
        if program == "celery":
            return [sys.executable, "-m", "celery", *rest]
        if program == "python":
            return [sys.executable, *rest]
        return [program, *rest]

    def _variables(self) -> dict[str, str]:
        own = {name: self._outside(str(value)) for name, value in self._environment.items()}
        # The package under test is that of this checkout, as it would be in the image.
        own["PYTHONPATH"] = os.pathsep.join(filter(None, [own.get("PYTHONPATH"), str(REPOSITORY)]))
        return {**os.environ, "TMPDIR": str(self.root), **own}

    # docker-py's interface

    @property
    def status(self) -> str:
        if self._process is None:
            return "created"
        return "running" if self._process.poll() is None else "exited"

    def reload(self) -> None:
        """Nothing to do: `status` always asks the process."""

    def start(self) -> None:
        written = self._log.stat().st_size if self._log.exists() else 0
        command = dying_with_us(self._arguments(self._command))
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self._directory,
                env=self._variables(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        sign = READY.get(self._command[0], b"")
        until(lambda: sign in self.logs()[written:] or self.status != "running", self.logs().decode)

    def kill(self, signal: str | int | None = None) -> None:
        number = _signal_number(signal)
        assert self._process is not None
        self._process.send_signal(number)
        if number == _signal_number(None):
            self.wait()

    def pause(self) -> None:
        self._signal_all(signal.SIGSTOP)

    def unpause(self) -> None:
        self._signal_all(signal.SIGCONT)

    def stop(self, timeout: float = HUNG) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()

    def restart(self, timeout: float = HUNG) -> None:
        self.stop(timeout)
        self.start()

    def wait(self, timeout: float | None = HUNG) -> dict[str, int]:
        assert self._process is not None
        code = self._process.wait(timeout)
        # A container's other processes die with its first one.
        self._signal_all(signal.SIGKILL)
        return {"StatusCode": code}

    def remove(self, force: bool = False, **ignored: Any) -> None:
        if self.status == "running":
            self.kill()
        shutil.rmtree(self.root, ignore_errors=True)

    def logs(self, **ignored: Any) -> bytes:
        return self._log.read_bytes() if self._log.exists() else b""

    def exec_run(self, cmd: str | Sequence[str], **ignored: Any) -> tuple[int, bytes]:
        if cmd == "cat /proc/net/tcp /proc/net/tcp6":
            # pytest-docker-tools' question which of the published ports are open.
            return 0, "\n".join(_listening_row(*item) for item in self._ports.items()).encode()
        words = shlex.split(cmd) if isinstance(cmd, str) else cmd
        done = subprocess.run(
            self._arguments(words),
            cwd=self._directory,
            env=self._variables(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=60,
        )
        return done.returncode, done.stdout

    def put_archive(self, path: str, data: IO[bytes]) -> bool:
        with tarfile.open(fileobj=io.BytesIO(data.read())) as archive:
            # Of our own making, in _populate_volume: no need to filter (and Python 3.10 has no filter).
            archive.extractall(self._outside(path))
        return True

    def _signal_all(self, number: int) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


class LocalDocker:
    """``docker.DockerClient``, as far as pytest-docker-tools uses it."""

    def __init__(self) -> None:
        self._root = Path(tempfile.mkdtemp(prefix="groupfifo-nodes-"))
        self._volumes: dict[str, LocalVolume] = {}
        self._containers: list[LocalContainer] = []
        self.containers = SimpleNamespace(run=self._run, create=self._run)
        self.images = SimpleNamespace(build=self._build, pull=self._pull)
        self.networks = SimpleNamespace(create=self._network)
        self.volumes = SimpleNamespace(create=self._volume)

    def close(self) -> None:
        """End every process that is left, and remove what they wrote."""
        for container in self._containers:
            container.remove()
        shutil.rmtree(self._root, ignore_errors=True)

    def _run(self, volumes: Mapping[str, Mapping[str, str]] | None = None, **options: Any) -> LocalContainer:
        places = {mount["bind"]: self._volumes[name].path for name, mount in (volumes or {}).items()}
        container = LocalContainer(self._root, places, **options)
        self._containers.append(container)
        return container

    def _volume(self, name: str, **ignored: Any) -> LocalVolume:
        self._volumes[name] = LocalVolume(name, self._root / name)
        return self._volumes[name]

    def _build(self, **options: Any) -> tuple[SimpleNamespace, list[str]]:
        return SimpleNamespace(id=options.get("tag") or "local"), []

    def _pull(self, repository: str, **ignored: Any) -> SimpleNamespace:
        return SimpleNamespace(id=repository)

    def _network(self, name: str, **ignored: Any) -> SimpleNamespace:
        return SimpleNamespace(name=name, remove=lambda: None)


def _listening_row(name: str, port: int) -> str:
    """A row of /proc/net/tcp that says that the container's port is open (state 0A) or not."""
    with socket.socket() as probe:
        state = "0A" if probe.connect_ex(("127.0.0.1", port)) == 0 else "07"
    return f"0: 00000000:{int(name.partition('/')[0]):04X} 00000000:0000 {state}"


def _signal_number(given: str | int | None) -> int:
    if given is None:
        return signal.SIGKILL
    return signal.Signals[given] if isinstance(given, str) else given
