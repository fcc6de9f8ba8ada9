"""What a fleet's idle runs cost, and how late they start: worker, PostgreSQL, transactions, WAL.

`python -m tests.benchmark.fleet --firms 3000 --seconds 60` starts a PostgreSQL of its own, a Clio
that answers every firm after `--clio-ms`, and workers. In each firm nothing was closed. The figures
are of one machine on which all of them run, so the CPU is what can be compared.
"""

import argparse
import asyncio
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from databases import KEY, own_server

from clio_broadly_sync.domain.credentials import Secret
from clio_broadly_sync.store import postgresql
from clio_broadly_sync.store.firms import HASH_KEY, Firms
from clio_broadly_sync.store.seal import Seal

_EMPTY = b'{"data":[],"meta":{"paging":{},"records":0}}'
_WHO = b'{"data":{"id":1,"name":"A","account":{"id":%d,"name":"B"}}}'
_FIELD = (
    b'{"data":[{"id":1,"name":"BroadlyOptOut","parent_type":"Contact","field_type":"checkbox",'
    b'"deleted":false}],"meta":{"paging":{},"records":1}}'
)
_TICK = os.sysconf("SC_CLK_TCK")


class Figures(NamedTuple):
    """What was counted up to a moment."""

    runs: int
    requests: int
    worker_cpu: float
    server_cpu: float
    transactions: int
    wal: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--firms", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--period", type=float, default=5, help="seconds from run to run")
    parser.add_argument("--clio-ms", type=float, default=30)
    parser.add_argument("--late", action="store_true", help="measure how late each firm starts")
    asked = parser.parse_args()
    with own_server(lasting=True) as address, _clio(asked.clio_ms / 1000) as (port, counted):
        _set_up(address, asked, port)
        with _workers(address, asked) as workers:
            _measure(address, asked, [worker.pid for worker in workers], counted)


def _set_up(address: str, asked: argparse.Namespace, port: int) -> None:
    _program(address, "fleet", "init").check_returncode()
    seal = Seal([Secret(KEY)])
    own = {
        "clio_base_url": f"http://127.0.0.1:{port}",
        "sync_rule": "opt-out",
        "broadly_auth_header": "Authorization: Bearer {key}",
    }
    begin = postgresql.connect(address, "benchmark", idle=timedelta(hours=1), role="fleet_worker")
    with closing(begin) as session, session.transaction():
        firms = Firms(session)
        for number in range(1, asked.firms + 1):
            name = f"firm-{number}"
            secrets = {
                "clio_access_token": f"token-{number}",
                "broadly_url": "http://127.0.0.1:9/",
                "broadly_api_key": "key",
                HASH_KEY: f"{number:064x}",
            }
            firms.add(name, own, seal.close(name, secrets), timedelta(seconds=asked.period))


def _measure(address: str, asked: argparse.Namespace, pids: Sequence[int], counted: Any) -> None:
    with psycopg.connect(address, autocommit=True) as admin:
        _wait_for_first_runs(admin, asked.firms)
        if asked.late:
            _measure_lateness(admin, asked)
            return
        time.sleep(asked.period)
        before, began = _figures(admin, pids, counted), time.monotonic()
        time.sleep(asked.seconds)
        after, seconds = _figures(admin, pids, counted), time.monotonic() - began
        memory = [_peak(pid) for pid in pids]
    runs = after.runs - before.runs
    told = {
        "runs a second": runs / seconds,
        "worker CPU a run, ms": 1000 * (after.worker_cpu - before.worker_cpu) / runs,
        "PostgreSQL CPU a run, ms": 1000 * (after.server_cpu - before.server_cpu) / runs,
        "transactions a run": (after.transactions - before.transactions) / runs,
        "WAL a run, kB": (after.wal - before.wal) / runs / 1000,
        "requests a run": (after.requests - before.requests) / runs,
        "peak of a worker, MiB": max(memory),
    }
    for what, figure in told.items():
        print(f"{what:28} {figure:8.2f}")


def _wait_for_first_runs(admin: psycopg.Connection[Any], firms: int) -> None:
    """Return when each firm has had the run that only notes where it starts."""
    while True:
        (good,) = admin.execute("SELECT count(*) FROM firms WHERE good_at IS NOT NULL").fetchone()
        if good == firms:
            return
        time.sleep(0.5)


def _measure_lateness(admin: psycopg.Connection[Any], asked: argparse.Namespace) -> None:
    """Let every firm be due once, evenly over the time, and see when each starts."""
    admin.execute("UPDATE firms SET period = '1 day', next_at = now() + INTERVAL '1 day'")
    time.sleep(3)
    admin.execute(
        "UPDATE firms SET next_at = now() + INTERVAL '2 seconds' + firm * %s * INTERVAL '1 second'",
        (asked.seconds / asked.firms,),
    )
    due = dict(admin.execute("SELECT firm, next_at FROM firms").fetchall())
    time.sleep(asked.seconds + 10)
    started = dict(admin.execute("SELECT firm, started_at FROM firms").fetchall())
    late = sorted((started[firm] - due[firm]).total_seconds() for firm in due)
    median, most = statistics.median(late), late[int(0.95 * len(late))]
    print(f"late: median {median:.2f} s, p95 {most:.2f} s, most {late[-1]:.2f} s")


def _figures(admin: psycopg.Connection[Any], pids: Sequence[int], counted: Any) -> Figures:
    (runs,) = admin.execute("SELECT count(*) FROM runs").fetchone()
    (wal,) = admin.execute("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn").fetchone()
    (done,) = admin.execute(
        "SELECT xact_commit + xact_rollback FROM pg_stat_database"
        " WHERE datname = current_database()"
    ).fetchone()
    (postmaster,) = admin.execute("SELECT pg_read_file('postmaster.pid')").fetchone()
    server = int(postmaster.split()[0])
    children = [pid for pid in _processes() if pid == server or _parent(pid) == server]
    own = admin.info.backend_pid
    server_cpu = sum(_cpu(pid) for pid in children if pid != own) + _cpu_of_dead(server)
    return Figures(runs, counted.value, sum(map(_cpu, pids)), server_cpu, int(done), int(wal))


def _processes() -> Iterator[int]:
    yield from (int(name) for name in os.listdir("/proc") if name.isdecimal())


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ["?"] * 50


def _parent(pid: int) -> int:
    parent = _stat(pid)[1]
    return int(parent) if parent.isdecimal() else 0


def _cpu(pid: int) -> float:
    stat = _stat(pid)
    return 0.0 if stat[0] == "?" else (int(stat[11]) + int(stat[12])) / _TICK


def _cpu_of_dead(pid: int) -> float:
    stat = _stat(pid)
    return (int(stat[13]) + int(stat[14])) / _TICK


def _peak(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def _environment(address: str) -> dict[str, str]:
    fleet = {"FLEET_DATABASE": address, "FLEET_KEYS": KEY, "LOG_FORMAT": "text"}
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "HOME") if name in os.environ}
    return kept | fleet


def _program(address: str, *words: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "clio_broadly_sync", *words]
    return subprocess.run(command, env=_environment(address), check=False)


@contextmanager
def _workers(
    address: str, asked: argparse.Namespace
) -> Iterator[Sequence[subprocess.Popen[bytes]]]:
    command = [sys.executable, "-m", "clio_broadly_sync", "fleet", "worker"]
    command += ["--slots", str(asked.slots)]
    with tempfile.TemporaryDirectory() as folder:
        running = [
            subprocess.Popen(command, env=_environment(address), cwd=folder)
            for _ in range(asked.workers)
        ]
        try:
            yield running
        finally:
            for worker in running:
                worker.terminate()
            for worker in running:
                worker.wait()


@contextmanager
def _clio(seconds: float) -> Iterator[tuple[int, Any]]:
    """Yield the port of a Clio that answers after so many seconds, and how often it was asked."""
    ports: multiprocessing.SimpleQueue[int] = multiprocessing.SimpleQueue()
    counted = multiprocessing.Value("q", 0)
    process = multiprocessing.Process(target=_serve, args=(seconds, ports, counted), daemon=True)
    process.start()
    yield ports.get(), counted
    process.terminate()
    process.join()


def _serve(seconds: float, ports: Any, counted: Any) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await _head(reader):
            counted.value += 1
            await asyncio.sleep(seconds)
            body = _answer(head)
            date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: %s\r\n"
                b"Content-Length: %d\r\n\r\n%s" % (date.encode(), len(body), body)
            )
            await writer.drain()
        writer.close()

    async def serve() -> None:
        server = await asyncio.start_server(talk, "127.0.0.1", 0, backlog=1000)
        ports.put(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""


def _answer(head: bytes) -> bytes:
    if b"who_am_i" in head:
        return _WHO % int(head.partition(b"token-")[2].split(b"\r")[0])
    return _FIELD if b"custom_fields" in head else _EMPTY


if __name__ == "__main__":
    main()
