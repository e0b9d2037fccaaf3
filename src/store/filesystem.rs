//! Whether a folder lies on this machine. On a network file system locks and syncs are not what they say, and a database
//! there breaks some day.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::sys::stat::{major, minor};

/// File systems of other machines, as the kernel's list of mounts names them. Others that come through FUSE may lie on
/// this machine.
const REMOTE: [&str; 20] = [
    "9p",
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "coda",
    "fuse.ceph",
    "fuse.glusterfs",
    "fuse.rclone",
    "fuse.s3fs",
    "fuse.sshfs",
    "gfs2",
    "glusterfs",
    "lustre",
    "ncpfs",
    "nfs",
    "nfs4",
    "ocfs2",
    "smb3",
    "smbfs",
];

/// The name of the network file system that holds the folder; `None` where it lies on this machine, or where nobody can
/// tell.
pub(super) fn remote(folder: &Path) -> Option<String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let device = fs::metadata(folder).ok()?.dev();
    let kind = kind_of(&mounts, major(device), minor(device))?;
    REMOTE.contains(&kind).then(|| kind.to_owned())
}

/// The kind of the file system that is mounted from this device (proc_pid_mountinfo(5): the third field, and the first
/// after the dash).
fn kind_of(mounts: &str, major: u64, minor: u64) -> Option<&str> {
    let device = format!("{major}:{minor}");
    let line = mounts
        .lines()
        .find(|line| line.split(' ').nth(2) == Some(&device))?;
    line.split_once(" - ")?.1.split(' ').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_of_a_mount_is_found_by_its_device() {
        let mounts = "22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n\
                      35 22 0:51 / /mnt/a rw - nfs4 server:/export rw,vers=4.2\n\
                      36 22 0:52 /x /mnt/b\\040c rw shared:2 master:1 - fuse.sshfs me@host:/ rw\n\
                      37 22 0:5 broken\n";
        let cases = [
            ((254, 1), Some("ext4")),
            ((0, 51), Some("nfs4")),
            ((0, 52), Some("fuse.sshfs")),
            ((0, 5), None),
            ((1, 1), None),
        ];
        for ((major, minor), kind) in cases {
            assert_eq!(kind_of(mounts, major, minor), kind);
        }
        assert!(REMOTE.is_sorted());
    }

    #[test]
    fn folders_for_temporary_files_lie_on_this_machine() {
        assert_eq!(remote(&std::env::temp_dir()), None);
    }
}
