#!/bin/sh
# Run a command in a throw-away copy of this machine. To be started by unshare, as the first process of new mount,
# PID, network, IPC and host name namespaces: what it does ends with it.
#
#   world.sh BASE COMMAND...
#
# BASE is an empty folder. The copy has its own sshd on port 22, which root enters by key. In the environment:
#
#   WORLD_DIRECTORY   where the command runs
#   WORLD_WHEELS      a folder, from which pip gets all that it installs
set -eu
base=$1
shift
mount --make-rprivate /
mount -t tmpfs -o mode=0755 world "$base"
mkdir "$base/upper" "$base/work" "$base/root"
root=$base/root
mount -t overlay -o "lowerdir=/,upperdir=$base/upper,workdir=$base/work" overlay "$root"
mount --rbind /dev "$root/dev"
mount --rbind /sys "$root/sys"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o mode=0755 tmpfs "$root/run"
mount -t proc proc "$root/proc"
ip link set lo up
cd /
exec chroot "$root" /bin/sh -eu -c '
    directory=$1
    wheels=$2
    shift 2
    mkdir -p /run/sshd /run/lock /etc/ssh
    chmod 1777 /run/lock
    # Some targets want this locale, of which they use nothing but the encoding.
    [ -e /usr/lib/locale/en_US.utf8 ] || ln -s C.utf8 /usr/lib/locale/en_US.utf8
    rm -rf ~/.config/pip ~/.pip
    printf "%s\n" "[global]" "no-index = true" "find-links = $wheels" > /etc/pip.conf
    # Other accounts start Pythons that are installed there.
    chmod 0755 ~
    rm -rf ~/.ssh ~/.ansible ~/.ansible.cfg
    mkdir -m 0700 ~/.ssh
    ssh-keygen -q -t rsa -N "" -f ~/.ssh/id_rsa
    cp ~/.ssh/id_rsa.pub ~/.ssh/authorized_keys
    [ -e /etc/ssh/ssh_host_ed25519_key ] || ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key
    # Not the first level: so bash leaves out start-up files of root, which may do anything.
    printf "%s\n" "HostKey /etc/ssh/ssh_host_ed25519_key" "PermitRootLogin yes" "PasswordAuthentication yes" \
        "UsePAM yes" "SetEnv SHLVL=1" "MaxStartups 200" "MaxSessions 200" "Subsystem sftp internal-sftp" > /run/sshd_config
    /usr/sbin/sshd -f /run/sshd_config
    cd "$directory"
    "$@"
' sh "$WORLD_DIRECTORY" "$WORLD_WHEELS" "$@"
