//! What this machine has: routes, memory, room on disks, limits of this process. Reads and counts, judges nothing; what
//! cannot be read is `None`.

use std::fs;
use std::path::Path;

use nix::sys::statvfs::statvfs;

/// Whether any route leads beyond this machine. `None` where the kernel does not say.
pub fn has_route() -> Option<bool> {
    let v4 = fs::read_to_string("/proc/net/route").ok()?;
    let v6 = fs::read_to_string("/proc/net/ipv6_route").unwrap_or_default();
    Some(routes_beyond(&v4, &v6))
}

fn routes_beyond(v4: &str, v6: &str) -> bool {
    const UP: u32 = 1;
    const REJECT: u32 = 0x200;
    let is_usable = |flags: Option<&str>| {
        let flags = flags.and_then(|flags| u32::from_str_radix(flags, 16).ok());
        flags.is_some_and(|flags| flags & UP != 0 && flags & REJECT == 0)
    };
    let by_v4 = v4.lines().skip(1).any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields.first() != Some(&"lo") && is_usable(fields.get(3).copied())
    });
    // Addresses of a link alone (fe80::/10) and multicast (ff00::/8) lead nowhere.
    let by_v6 = v6.lines().any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let leads = fields
            .first()
            .is_some_and(|to| !to.starts_with("fe8") && !to.starts_with("ff"));
        leads && fields.last() != Some(&"lo") && is_usable(fields.get(8).copied())
    });
    by_v4 || by_v6
}

/// Memory that may still be used, in bytes: that of the machine, or what the control group leaves of it.
pub fn memory_bytes() -> Option<u64> {
    let machine = available(&fs::read_to_string("/proc/meminfo").ok()?)?;
    Some(group_memory_bytes().map_or(machine, |group| group.min(machine)))
}

fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib << 10)
}

/// Below the limit of the own control group (version 2), file cache counted as free.
fn group_memory_bytes() -> Option<u64> {
    let group = own_group()?;
    let number = |file: &str| -> Option<u64> {
        let text = fs::read_to_string(format!("{group}/{file}")).ok()?;
        text.trim().parse().ok()
    };
    let stat = fs::read_to_string(format!("{group}/memory.stat")).unwrap_or_default();
    let cache = stat
        .lines()
        .find_map(|line| line.strip_prefix("inactive_file "))
        .and_then(|count| count.trim().parse().ok())
        .unwrap_or(0_u64);
    let used = number("memory.current")?.saturating_sub(cache);
    Some(number("memory.max")?.saturating_sub(used))
}

/// How many processes and threads may still be started in the own control group.
pub fn tasks_left() -> Option<u64> {
    let group = own_group()?;
    let read = |file: &str| -> Option<u64> {
        let text = fs::read_to_string(format!("{group}/{file}")).ok()?;
        text.trim().parse().ok()
    };
    Some(read("pids.max")?.saturating_sub(read("pids.current")?))
}

fn own_group() -> Option<String> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    Some(format!("/sys/fs/cgroup{}", path.trim_end_matches('/')))
}

/// Room that a folder's file system has for us, in bytes.
pub fn room_bytes(folder: &Path) -> Option<u64> {
    let stat = statvfs(folder).ok()?;
    Some(stat.blocks_available().saturating_mul(stat.fragment_size()))
}

/// Size of a folder's file system, in bytes.
pub fn size_bytes(folder: &Path) -> Option<u64> {
    let stat = statvfs(folder).ok()?;
    Some(stat.blocks().saturating_mul(stat.fragment_size()))
}

/// Kind of a folder's file system, as the kernel names it: `ext4`, `nfs4`, `tmpfs`.
pub fn file_system(folder: &Path) -> Option<String> {
    let folder = fs::canonicalize(folder).ok()?;
    kind_of(&folder, &fs::read_to_string("/proc/self/mountinfo").ok()?)
}

fn kind_of(folder: &Path, mounts: &str) -> Option<String> {
    let mount = |line: &str| {
        let (before, after) = line.split_once(" - ")?;
        let point = before.split(' ').nth(4)?.replace("\\040", " ");
        let kind = after.split(' ').next()?.to_owned();
        folder.starts_with(&point).then_some((point.len(), kind))
    };
    // Of mounts on the same point the last one is seen.
    let found = mounts
        .lines()
        .filter_map(mount)
        .max_by_key(|(length, _)| *length);
    found.map(|(_, kind)| kind)
}

/// The soft limit of this process as `/proc/self/limits` names it, such as `Max open files`; `u64::MAX` for none.
pub fn limit(name: &str) -> Option<u64> {
    limit_in(&fs::read_to_string("/proc/self/limits").ok()?, name)
}

fn limit_in(limits: &str, name: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

/// A setting of the kernel, such as `user/max_user_namespaces`.
pub fn kernel(name: &str) -> Option<u64> {
    let text = fs::read_to_string(Path::new("/proc/sys").join(name)).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n";

    #[test]
    fn a_route_beyond_this_machine_is_told_from_none() {
        let check = |v4: &str, v6: &str, expected: bool| {
            assert_eq!(
                routes_beyond(&format!("{HEAD}{v4}"), v6),
                expected,
                "{v4}{v6}"
            );
        };
        check("", "", false);
        check(
            "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\n",
            "",
            true,
        );
        check(
            "eth0\t00000000\t010200C0\t0002\t0\t0\t0\t00000000\n",
            "",
            false,
        );
        check(
            "lo\t0000007F\t00000000\t0001\t0\t0\t0\t000000FF\n",
            "",
            false,
        );
        let six = |to: &str, flags: &str, interface: &str| {
            let zero = "0".repeat(32);
            format!("{to} 00 {zero} 00 {zero} 00000400 00000001 00000000 {flags} {interface}\n")
        };
        let any = "0".repeat(32);
        check("", &six(&any, "00000003", "eth0"), true);
        check("", &six(&any, "00200200", "lo"), false);
        check(
            "",
            &six("fe800000000000000000000000000000", "00000001", "eth0"),
            false,
        );
        check(
            "",
            &six("ff000000000000000000000000000000", "00000001", "eth0"),
            false,
        );
    }

    #[test]
    fn memory_limits_and_mounts_are_read_as_the_kernel_writes_them() {
        let meminfo = "MemTotal:       24590964 kB\nMemFree:  5 kB\nMemAvailable:   23089560 kB\n";
        assert_eq!(available(meminfo), Some(23_089_560 << 10));
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max processes             unlimited            96365                processes \n\
                      Max open files            1024                 20000                files     \n";
        assert_eq!(limit_in(limits, "Max open files"), Some(1024));
        assert_eq!(limit_in(limits, "Max processes"), Some(u64::MAX));
        let mounts = "22 1 254:1 / / rw - ext4 /dev/vda1 rw\n\
                      30 22 0:25 / /var/lib rw,nosuid shared:5 - nfs4 host:/x rw\n\
                      31 22 0:26 / /a\\040b rw - tmpfs tmpfs rw\n";
        let kind = |path: &str| kind_of(Path::new(path), mounts);
        assert_eq!(kind("/var/lib/authcanary").as_deref(), Some("nfs4"));
        assert_eq!(kind("/var/library").as_deref(), Some("ext4"));
        assert_eq!(kind("/a b/c").as_deref(), Some("tmpfs"));
    }

    #[test]
    fn this_machine_can_be_read() {
        assert!(memory_bytes().is_some_and(|bytes| bytes > 0));
        assert!(room_bytes(Path::new("/")).is_some());
        assert!(limit("Max open files").is_some_and(|files| files > 0));
        assert!(file_system(Path::new("/")).is_some());
    }
}
