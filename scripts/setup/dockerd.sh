#!/bin/sh
# Runs a Docker daemon for as long as somebody uses it. Each user holds $users as a shared lock, which the kernel
# gives back however its holder ends, so that a daemon never outlives its users, not even those killed with -9.
#
# Usage: users=FILE data=FOLDER run=FOLDER bridge=NAME dockerd.sh OPTION... (further options of dockerd)

stopping=
trap 'stopping=1' TERM INT

# Its heap is small: to collect it as often as Go does took a tenth of the CPU time of an image's build.
GOGC=400 dockerd --data-root "$data" "$@" >"$run/dockerd.log" 2>&1 &
daemon=$!

exec 9>"$users"
until [ "$stopping" ] || flock --exclusive --nonblock 9; do
  kill -0 "$daemon" 2>/dev/null || break
  sleep 1 &
  wait $! # unlike a sleep in the foreground, ends at once on a signal
done

# From here on the lock, ours or that of whoever told us to stop, keeps new users waiting until all is cleaned up.
kill -TERM "$daemon" 2>/dev/null
while kill -0 "$daemon" 2>/dev/null; do wait "$daemon"; done
# What a daemon that was killed left mounted.
umount "$run"/exec/netns/* "$data" 2>/dev/null
ip link delete "$bridge"
rm -f "$run/docker.sock" "$run/supervisor.pid"
