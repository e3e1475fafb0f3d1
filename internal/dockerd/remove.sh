# $dir is the engine's folder, $bridge its network device, both gone after this. containerd keeps the sockets of shims in one folder for all engines of a
# machine, under a hash of its own address, Docker's namespace and the container's ID; those of shims that were killed are still there.
for c in "$dir"/data/containers/*; do
	rm -f "/run/containerd/s/$(printf '%s/exec/containerd/containerd.sock/moby/%s' "$dir" "${c##*/}" | sha256sum | cut -d ' ' -f 1)"
done
[ -n "$bridge" ] && [ -e "/sys/class/net/$bridge" ] && ip link delete "$bridge"
rm -rf "$dir" || status=1
