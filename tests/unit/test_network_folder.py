"""Whether a folder lies on a file system that other machines may share, by what is mounted here."""

from pathlib import Path, PurePath
from types import SimpleNamespace
from typing import Any

import pytest

from clio_broadly_sync.cli.check import file_systems, here
from clio_broadly_sync.cli.options import Options

USUAL = r"""22 27 0:21 / /proc rw,relatime - proc proc rw
24 27 0:6 / /dev rw,relatime - devtmpfs devtmpfs rw,size=12334460k
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
28 27 0:25 / /srv rw,nosuid,nodev shared:7 master:2 - xfs /dev/vdb1 rw
29 28 0:31 / /srv/office rw,relatime shared:9 - nfs4 nas:/export/office rw,vers=4.2
30 29 8:1 / /srv/office/disk rw,relatime - ext4 /dev/sda1 rw
31 27 0:32 / /srv/my\040share\134\011x rw - cifs //nas/my\040share rw
32 27 0:33 / /home/ada/cloud rw,nosuid - fuse.sshfs ada@nas:/home rw,user_id=0
33 27 0:34 / /mnt/automatic rw - autofs systemd-1 rw
34 33 0:35 / /mnt/automatic rw - nfs nas:/automatic rw
35 27 0:36 / /mnt/over rw - nfs nas:/over rw
36 27 0:37 / /mnt/over rw - ext4 /dev/sdb1 rw
37 27 0:38 /export/part /mnt/part rw - ceph 10.0.0.7:6789:/ rw
38 27 0:39 / /mnt/-\040nfs rw - btrfs /dev/sdc rw
39 27 0:40 / /mnt/b\303\274ro rw - ext4 /dev/sdd rw
40 27 0:41 / /mnt/büro rw - smb3 //nas/büro rw
41 27 0:42 / /mnt/ntfs rw - fuseblk /dev/sde1 rw
43 27 0:44 / /mnt/a\134040b rw - nfs nas:/b rw
42 27 0:43 / /mnt/pool rw - fuse.mergerfs /mnt/a:/mnt/b rw
"""
FOLDERS = {
    "/": None,
    "/var/lib/sync": None,
    "/srv": None,
    "/srv/ledger": None,
    "/srv/office": "nfs4",
    "/srv/office/state": "nfs4",
    "/srv/office2/state": None,
    "/srv/office/disk/state": None,
    "/srv/my share\\\tx/state": "cifs",
    "/srv/my": None,
    "/home/ada/cloud/a/b/c": "fuse.sshfs",
    "/home/ada": None,
    "/mnt/automatic": "nfs",
    "/mnt/over/state": None,
    "/mnt/part": "ceph",
    "/mnt/- nfs/state": None,
    "/mnt/büro": "smb3",
    "/mnt/ntfs/state": None,
    "/mnt/pool/state": None,
    "/mnt/a\\040b": "nfs",
    "/mnt/a b": None,
}


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_nearest_mount_decides(folder: str) -> None:
    """By whole names, and the later of two at one place."""
    assert file_systems.network_file_system(USUAL, PurePath(folder)) == FOLDERS[folder]


@pytest.mark.parametrize(
    "kind",
    [
        "nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "davfs",
        "virtiofs", "vboxsf", "fuse.sshfs", "fuse.s3fs", "fuse.rclone", "fuse.gcsfuse",
        "fuse.glusterfs", "fuse.ceph-fuse", "fuse.davfs2", "fuse.curlftpfs",
    ],
)  # fmt: skip
def test_file_systems_of_a_network(kind: str) -> None:
    mounts = f"1 0 0:1 / / rw - {kind} somewhere rw\n"
    assert file_systems.network_file_system(mounts, PurePath("/srv/state")) == kind


@pytest.mark.parametrize(
    "kind",
    [
        "ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "f2fs", "apfs", "fuseblk", "exfat",
        "fuse.mergerfs", "fuse.gocryptfs", "fuse.portal", "fuse.", "autofs", "nfsd", "",
    ],
)  # fmt: skip
def test_all_others_are_of_this_machine(kind: str) -> None:
    mounts = f"1 0 0:1 / / rw - {kind} somewhere rw\n"
    assert file_systems.network_file_system(mounts, PurePath("/srv/state")) is None


@pytest.mark.parametrize(
    "mounts",
    ["", "\n\n", "1 0 0:1", "1 0 0:1 / / rw nfs", " - nfs", "1 0 0:1 /  rw - nfs x rw", "-"],
)
def test_lines_that_say_nothing(mounts: str) -> None:
    """Nobody is alarmed by what cannot be read."""
    assert file_systems.network_file_system(mounts, PurePath("/srv/state")) is None


@pytest.mark.parametrize("there_is_one", [False, True], ids=["no state yet", "a state"])
def test_check_warns(there_is_one: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through a link, too; what else is said of the state is said all the same."""
    (tmp_path / "share").mkdir()
    (tmp_path / "link").symlink_to("share")
    mounts = tmp_path / "mounts"
    mounts.write_text(f"{USUAL}99 27 0:99 / {tmp_path.resolve()}/share rw - nfs nas:/ rw\n")
    monkeypatch.setattr(file_systems, "MOUNTS", mounts)
    for folder, warned in (("link", True), ("share", True), ("share2", False)):
        state = tmp_path / folder / "state.db"
        if there_is_one:
            state.parent.mkdir(exist_ok=True)
            state.touch()
        said = found(state)
        assert [level for level, _ in said] == ["warning", "ok"][0 if warned else 1 :]
        assert any("network folder (nfs), where" in says for _, says in said) is warned


def test_a_system_that_does_not_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor are there such files on macOS."""
    monkeypatch.setattr(file_systems, "MOUNTS", tmp_path / "nowhere")
    assert [level for level, _ in found(tmp_path / "state.db")] == ["ok"]


def found(state: Path) -> list[tuple[str, str]]:
    """Return how bad each finding about this state is, and what it says."""
    settings: Any = SimpleNamespace(sync_state=state)
    status: Any = SimpleNamespace(firm=None)
    options = Options(state.parent / "config.env", False)
    return [(str(finding.level), finding.says) for finding in here.state(options, settings, status)]
