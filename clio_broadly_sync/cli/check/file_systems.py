"""Whether a folder lies on a file system of a network, where a lock may not hold."""

import re
from pathlib import Path, PurePath
from typing import Final

_OF_A_NETWORK: Final = frozenset(
    (
        *("9p", "acfs", "afs", "auristorfs", "beegfs", "ceph", "cifs", "coda", "davfs", "fhgfs"),
        *("glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "orangefs", "prl_fs", "pvfs2"),
        *("smb2", "smb3", "smbfs", "vboxsf", "virtiofs"),
        *("blobfuse", "blobfuse2", "ceph-fuse", "curlftpfs", "davfs2", "gcsfuse", "goofys"),
        *("gvfsd-fuse", "juicefs", "mount-s3", "rclone", "s3fs", "smbnetfs", "sshfs"),
    )
)
"""The types, without a `fuse.` before them, of file systems that lie on another machine, or that a
virtual machine shares with its host. Source: `ME_REMOTE` in gnulib's lib/mountlist.c, and how the
programs that mount by FUSE call themselves."""
MOUNTS: Final = Path("/proc/self/mountinfo")
_OCTAL: Final = re.compile(r"\\([0-7]{3})")


def of_a_network(folder: PurePath) -> str | None:
    """Return the type of the file system of a folder on this machine, where it is a network's."""
    return network_file_system(_mounts(), folder)


def network_file_system(mounts: str, folder: PurePath) -> str | None:
    """Return the type of the file system of a folder where other machines may share it, else None.

    `mounts` is the text of `MOUNTS`, whose form proc(5) describes; `folder` is absolute
    and has no links in it.
    """
    found = PurePath("/"), ""
    for line in mounts.split("\n"):
        mount, _, rest = line.partition(" - ")
        fields, kind = mount.split(" "), rest.partition(" ")[0]
        point = PurePath(_OCTAL.sub(_character, fields[4] if len(fields) > 4 else ""))
        # What was mounted later at the same place hides what was there.
        if folder.is_relative_to(point) and len(point.parts) >= len(found[0].parts):
            found = point, kind
    return found[1] if found[1].removeprefix("fuse.") in _OF_A_NETWORK else None


def _mounts() -> str:
    """Return what is mounted on this machine; nothing where the system does not say (macOS)."""
    try:
        return MOUNTS.read_text("utf-8", errors="surrogateescape")
    except OSError:
        return ""


def _character(escape: re.Match[str]) -> str:
    return chr(int(escape[1], 8))
