"""Starting the page: a free port on loopback, a token, a server in this process."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING, NamedTuple

from ftsdk.errors import FtsdkError, NotInstalledError

if TYPE_CHECKING:
    import uvicorn


class RunningPage(NamedTuple):
    """A page that answers."""

    url: str
    """With the token: whoever has it can do what this user can."""
    server: uvicorn.Server
    thread: Thread


@contextmanager
def serving(*, port: int = 0) -> Iterator[RunningPage]:
    """Serve the page on 127.0.0.1 inside the block; port 0 takes a free one.

    Raises NotInstalledError without the extra `ui`, FtsdkError if the port is taken.
    """
    try:
        import uvicorn

        from ftsdk.page.app import application
        from ftsdk.page.chat import ChatServer
    except ImportError as problem:
        raise NotInstalledError(
            f"The page needs {problem.name}, which is not installed: pip install 'ftsdk[ui]'."
        ) from problem
    listener = _listener(port)
    token, port = secrets.token_urlsafe(24), listener.getsockname()[1]
    talk = ChatServer()
    config = uvicorn.Config(
        application(talk, token=token, port=port),
        log_level="error",
        access_log=False,
        server_header=False,
        lifespan="off",
    )
    server = uvicorn.Server(config)
    thread = Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield RunningPage(f"http://127.0.0.1:{port}/?token={token}", server, thread)
    finally:
        server.should_exit = True
        thread.join()
        talk.close()


def _listener(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as problem:
        listener.close()
        raise FtsdkError(f"Port {port} cannot be used ({problem.strerror}): give another one with --port.") from None
    listener.listen()
    return listener
