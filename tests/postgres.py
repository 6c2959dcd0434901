"""A PostgreSQL server of the tests' own, with a password, in a folder that goes with it."""

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

from prefopt_core.store.postgres import Database, database_at

BINARIES = [*Path("/usr/lib/postgresql").glob("*/bin"), *map(Path, os.get_exec_path())]


def binary(name):
    return next((str(at / name) for at in BINARIES if os.access(at / name, os.X_OK)), None)


class Server:
    """It may be stopped, killed, and started again; what it was told stays."""

    def __init__(self, folder):
        self.folder, self.password = folder, secrets.token_hex(8)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._made = 0
        if os.geteuid() == 0:  # it refuses to run as root
            self._user = {"user": "nobody", "group": pwd.getpwnam("nobody").pw_gid}
            os.chown(folder, pwd.getpwnam("nobody").pw_uid, -1)
        else:
            self._user = {}
        (folder / "password").write_text(self.password)
        (folder / "password").chmod(0o644)
        self._call("initdb", "-U", "prefopt", "-A", "scram-sha-256", "--no-sync", "-E", "UTF8")

    def _call(self, name, *arguments, more=()):
        pwfile = ["--pwfile", str(self.folder / "password")] if name == "initdb" else []
        subprocess.run(
            [binary(name), "-D", str(self.folder / "data"), *arguments, *pwfile],
            check=True,
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            extra_groups=[] if self._user else None,
            **self._user,
        )

    def start(self):
        options = f"-F -p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1"
        self._call("pg_ctl", "-w", "-o", options, "-l", str(self.folder / "log"), "start")

    def stop(self):
        self._call("pg_ctl", "-m", "immediate", "stop")

    def url(self, name="postgres", password=""):
        who = f"prefopt:{password}" if password else "prefopt"
        return f"postgresql+psycopg://{who}@127.0.0.1:{self.port}/{name}"

    def run(self, statement, name="postgres"):
        import psycopg

        address = self.url(name, self.password).replace("+psycopg", "")
        with psycopg.connect(address, autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def database(self) -> Database:
        """One that is empty."""
        self._made += 1
        self.run(f"CREATE DATABASE labels_{self._made}")
        return database_at(self.url(f"labels_{self._made}", self.password))


@contextmanager
def serving():
    folder = Path(tempfile.mkdtemp(prefix="prefopt-postgres-"))
    folder.chmod(0o755)
    server = Server(folder)
    server.start()
    try:
        yield server
    finally:
        try:
            server.stop()
        finally:
            shutil.rmtree(folder, ignore_errors=True)
