# Ends what a run left: $dir is the run's folder and the value of its mark, $mark the mark's name, $ids patterns of folders below $dir that are
# named by what the run made, $last what else is to be done. $when is "now", or "later" for once the pipe closes that the run's process holds.
# A line on the pipe says that the run swept for itself.
if [ "$when" = later ] && read -r line; then exit 0; fi

# The living processes that bear the mark, and all below them: what runs in containers hangs below a marked one and bears none.
family() {
	{
		grep -slzxF "$mark=$dir" /proc/[0-9]*/environ | sed 's/.*/marked:&/'
		grep -sHE '^(State|PPid):' /proc/[0-9]*/status
	} | awk -F '[/: \t]+' '
		$1 == "marked" { ours[$3] = 1; next }
		$5 == "State" && $6 == "Z" { ended[$3] = 1 }
		$5 == "PPid" { parent[$3] = $6 }
		END {
			do {
				more = 0
				for (p in parent) if (!(p in ours) && parent[p] in ours) { ours[p] = 1; more = 1 }
			} while (more)
			for (p in ours) if (!(p in ended)) print p
		}'
}

# Names of what the run made: only what looks like the ID of an allocation or of a container, since more is removed by it.
names() {
	for pattern in $ids; do
		for folder in "$dir"/$pattern; do
			echo "${folder##*/}"
		done
	done | grep -xE '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{64}'
}

# The control groups of what the run made, the deepest first: ALLOCATION.TASK, ALLOCATION.TASK.scope, CONTAINER and docker-CONTAINER.scope.
groups() {
	[ -n "$made" ] || return
	{
		echo "$made"
		find /sys/fs/cgroup -depth -type d
	} 2>/dev/null | awk -F / '
		!/\// { ours[$0] = 1; next }
		{
			for (i = 4; i <= NF; i++) {
				name = $i
				sub(/^docker-/, "", name)
				sub(/\..*/, "", name)
				if (name in ours) { print; next }
			}
		}'
}

# A frozen process ends only once it is thawed.
thaw() {
	groups | while read -r group; do
		[ -e "$group/freezer.state" ] && echo THAWED >"$group/freezer.state"
		[ -e "$group/cgroup.freeze" ] && echo 0 >"$group/cgroup.freeze"
	done 2>/dev/null
}

made=$(names)
status=0
round=0
while pids=$(family) && [ -n "$pids" ]; do
	round=$((round + 1))
	if [ "$round" -gt 100 ]; then
		echo "processes" $pids "do not end" >&2
		status=1
		break
	fi
	kill -9 $pids 2>/dev/null
	[ "$round" -eq 10 ] && thaw
	sleep 0.1
done

# The newest mount first, since they nest. The kernel writes a blank in a path as \040; our paths have none.
cut -d ' ' -f 2 /proc/mounts | grep -F "$dir/" | tac | while read -r mount; do
	case $mount in "$dir"/*) umount -l "$mount" ;; esac
done
if cut -d ' ' -f 2 /proc/mounts | grep -q "^$dir/"; then
	echo "something is still mounted below $dir" >&2
	status=1
fi

for id in $made; do
	for space in "/run/netns/$id" "/run/docker/netns/$id"; do
		[ -e "$space" ] || continue
		umount -l "$space" 2>/dev/null
		rm -f "$space"
	done
done
groups | xargs -r -d '\n' rmdir 2>/dev/null

eval "$last"
exit "$status"
