"""Certificates that nobody knows, for tests that talk TLS."""

import subprocess
from pathlib import Path

import pytest


def certificate_for(name: str, other_name: str, folder: Path) -> Path:
    """Make a certificate for a host, with its key; `other_name` is `DNS:` or `IP:` and the host."""
    path = folder / "server.pem"
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
        f"-subj /CN={name} -addext subjectAltName={other_name} -keyout - -out -"
    )
    try:
        made = subprocess.run(command.split(), capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no openssl to make a certificate with")
    path.write_bytes(made.stdout)
    return path
