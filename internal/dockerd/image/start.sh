#!/bin/bash
# The container's first program. As root it gives the account the name and numbers that the environment asks for, goes over to it, and becomes the
# command; as anybody else it becomes the command at once.
set -eu

[ $# -gt 0 ] || set -- start-notebook.sh
[ "$(id -u)" = 0 ] || exec "$@"

user=${NB_USER:-jovyan} uid=${NB_UID:-1000} gid=${NB_GID:-100}
case "$user" in *[!a-z0-9_-]* | "" | [!a-z_]*) echo "NB_USER is no name of an account: $user" >&2 && exit 64 ;; esac
case "$uid$gid" in *[!0-9]* | "") echo "NB_UID and NB_GID are numbers, not $uid and $gid" >&2 && exit 64 ;; esac

export USER=$user HOME=/home/$user
[ -e "$HOME" ] || mv /home/jovyan "$HOME"
sed -i "s|^jovyan:.*|$user:x:$uid:$gid:notebooks:$HOME:/bin/bash|" /etc/passwd
grep -q "^[^:]*:[^:]*:$gid:" /etc/group || echo "$user:x:$gid:" >>/etc/group
[ "$(stat -c %u:%g "$HOME")" = "$uid:$gid" ] || chown "$uid:$gid" "$HOME"
cd "$HOME"
exec setpriv --reuid "$uid" --regid "$gid" --init-groups "$@"
