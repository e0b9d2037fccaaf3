#!/bin/sh
# Runs a command in the root of an image the way a container runtime does: a read-only root, a process table, mounts and
# message queues of its own, /tmp, /dev and the volume fresh, the user of the image, no right and no way to one.
#
#   inside.sh ROOT UID:GID VOLUME COMMAND...
set -eu

if [ "${INSIDE-}" != yes ]; then
  # Everything in it ends with the first process, and that one with us.
  INSIDE=yes exec unshare --mount --propagation private --pid --fork --kill-child --ipc --uts sh "$0" "$@"
fi

root=$1 user=${2%:*} group=${2#*:} volume=$3
shift 3
# An image has none; every runtime brings it.
echo "127.0.0.1 localhost" > "$root/etc/hosts"
mount --bind "$root" "$root"
mount --options remount,bind,ro "$root"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=1777,size=1g tmpfs "$root/tmp"
mount -t tmpfs -o "mode=0700,uid=$user,gid=$group" tmpfs "$root$volume"
mount -t tmpfs -o mode=0755 tmpfs "$root/dev"
for device in null zero full random urandom; do
  touch "$root/dev/$device"
  mount --bind "/dev/$device" "$root/dev/$device"
done
ln -s /proc/self/fd "$root/dev/fd"
mkdir "$root/dev/shm"
mount -t tmpfs -o mode=1777,size=512m tmpfs "$root/dev/shm"
cd "$root"
pivot_root . .
umount --lazy .
cd /
unset INSIDE
# A change of user takes away what --kill-child had set.
exec setpriv --pdeathsig KILL --reuid "$user" --regid "$group" --clear-groups --bounding-set=-all --inh-caps=-all --no-new-privs "$@"
