# $1 is the name of the marker variable, $2 its value: the engine's folder. $3 is the engine's bridge. The pipe closes when the process that started
# the engine ends. A line on it says that the engine was stopped in order, and nothing is left to do.
if read -r line; then exit 0; fi
marked() { grep -slzxF "$1=$2" /proc/[0-9]*/environ | cut -d / -f 3; }
below() { grep -sl "^PPid:[[:space:]]*$1\$" /proc/[0-9]*/status | cut -d / -f 3; }
# First what runs in containers, which hangs below shims and bears no mark; the shims then clean up after it.
for pid in $(marked "$1" "$2"); do
	for child in $(below "$pid"); do kill -9 "$child" 2>/dev/null; done
done
# The daemon takes down networks and mounts if it is asked to end.
[ -s "$2/dockerd.pid" ] && kill "$(cat "$2/dockerd.pid")" 2>/dev/null
for round in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
	pids=$(marked "$1" "$2")
	[ -n "$pids" ] || break
	[ "$round" -gt 10 ] && for pid in $pids; do kill -9 "$pid" 2>/dev/null; done
	sleep 0.5
done
cut -d ' ' -f 2 /proc/mounts | grep -F "$2/" | while read -r m; do umount -l "$m"; done
for c in "$2"/data/containers/*; do
	rm -f "/run/containerd/s/$(printf '%s/exec/containerd/containerd.sock/moby/%s' "$2" "${c##*/}" | sha256sum | cut -d ' ' -f 1)"
done
[ -n "$3" ] && ip link delete "$3" 2>/dev/null
rm -rf "$2"
