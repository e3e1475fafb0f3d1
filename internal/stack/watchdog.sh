# $1 is the name of the marker variable, $2 its value: the stack's folder. The pipe closes when the stack's process ends.
# A line on it says that the stack stopped in order, and nothing is left to do.
if read -r line; then exit 0; fi
for round in 1 2 3 4 5 6 7 8 9 10; do
	found=
	for p in $(grep -slzxF "$1=$2" /proc/[0-9]*/environ | cut -d / -f 3); do
		found=yes
		kill -9 "$p" 2>/dev/null
	done
	[ -n "$found" ] || break
	sleep 0.2
done
cut -d ' ' -f 2 /proc/mounts | grep -F "$2/" | while read -r m; do umount -l "$m"; done
