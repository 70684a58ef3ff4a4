# shellcheck shell=bash disable=SC2034,SC2154
# One build at a time in a build folder: two ninjas in one folder would write the same files. Sourced after step.sh, with `preset`
# set; sets `folder` and returns when the lock is held, which lasts as long as this program and what it started.

case $preset in release) folder=build ;; *) folder=build-$preset ;; esac
# configure.sh under build.sh gets the open lock file as its descriptor 9, and with it the lock.
[[ /proc/self/fd/9 -ef $folder.lock ]] || exec 9>"$folder.lock"
if ! flock --nonblock 9; then
  line thalweg "another build runs in $folder: waiting for it ..."
  flock 9
fi
