"""What the docker program complains about becomes one sentence of ours."""

import os
import sys
import time

import pytest

from ftsdk.backends.docker import command
from ftsdk.errors import AuthError, BackendError, NotInstalledError, UnavailableError

SAID = {
    "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock: Get "
    '"http://%2Fvar%2Frun%2Fdocker.sock/v1.50/containers/json": dial unix: connect: permission denied': AuthError,
    "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?": (
        UnavailableError
    ),
    'error during connect: Get "http://docker.example.com/v1.50/containers/json": command [ssh -- host docker system '
    "dial-stdio] has exited with exit status 255": UnavailableError,
    "Failed to initialize: unable to resolve docker endpoint: invalid bind address format: foo://": UnavailableError,
    'docker: Error response from daemon: invalid mount config for type "bind": bind source path does not exist: /x': (
        UnavailableError
    ),
    'docker: Error response from daemon: could not select device driver "" with capabilities: [[gpu]]': (
        NotInstalledError
    ),
    "docker: Error response from daemon: No such image: ftsdk:0.1.0-lf-cpu": NotInstalledError,
    "Error: ftsdk:0.1.0-lf-cpu: image not known": NotInstalledError,
    "docker: Error response from daemon: failed to create shim task: OCI runtime create failed: runc create failed: "
    'unable to start container process: exec: "python": executable file not found in $PATH: unknown': NotInstalledError,
    'docker: Error response from daemon: Conflict. The container name "/x-a1" is already in use by container "ffe".': (
        BackendError
    ),
    "docker: Error response from daemon: mkdir /var/lib/docker/overlay2/x: no space left on device.": BackendError,
    "docker: Error response from daemon: something new under the sun": BackendError,
    "": BackendError,
}


@pytest.mark.parametrize("said", SAID)
def test_a_failure_is_reported_in_one_sentence(said):
    problem = command.failure(said + "\n\nRun 'docker run --help' for more information\n")
    assert type(problem) is SAID[said]
    assert "\n" not in str(problem)
    assert str(problem).endswith(".") or str(problem).endswith(").")


def test_docker_is_quoted_without_its_introduction():
    said = (
        "WARNING: Error loading config file\n\ndocker: Error response from daemon: it rains.\nSee 'docker run --help'."
    )
    assert str(command.failure(said)) == "Docker refused: it rains."


def test_stdout_comes_back():
    assert command.ask([sys.executable, "-c", "print('ä')"]) == "ä\n"


def test_an_allowed_failure_returns_the_output():
    code = "import sys; print('half'); sys.exit('Error: No such container: x')"
    assert command.ask([sys.executable, "-c", code], allow="no such") == "half\n"
    with pytest.raises(BackendError, match="No such container: x"):
        command.ask([sys.executable, "-c", code])


@pytest.mark.parametrize("call", [command.ask, command.send_off])
def test_without_the_program(call):
    with pytest.raises(NotInstalledError, match="no-such-docker"):
        call(["no-such-docker", "ps"])


def test_sent_off_commands_go_on_alone(tmp_path):
    mark = tmp_path / "mark"
    code = f"import os; open({str(mark)!r}, 'w').write(str(os.getsid(0)))"
    command.send_off([sys.executable, "-c", code])
    deadline = time.monotonic() + 20
    while not (mark.exists() and mark.read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert int(mark.read_text()) != os.getsid(0)
