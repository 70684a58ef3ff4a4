#!/usr/bin/env bash
# The manual page, made of what the program says itself: `scripts/man.sh PROGRAM` prints thalweg(1). Each command's --help stands in
# it as it is, so that the page cannot say anything else. Nothing of the machine or the day is in it.
set -euo pipefail
program=$1
version=$("$program" --version)

# roff reads backslashes, and points and apostrophes at the beginning of a line.
escaped() { sed -e 's/\\/\\e/g' -e 's/-/\\-/g' -e "s/^\([.']\)/\\\\\&\1/"; }

# names_in: the subcommands that a help text lists.
names_in() { awk '/^Subcommands:/ {on = 1; next} /^$/ {on = 0} on {print $1}'; }

help_of() {
  local text name
  text=$("$program" "$@" --help)
  printf '.SS %s\n' "$(escaped <<<"thalweg $*")"
  echo .nf
  escaped <<<"$text"
  echo .fi
  for name in $(names_in <<<"$text"); do help_of "$@" "$name"; done
}

cat <<TEXT
.TH THALWEG 1 "" "$version" "User Commands"
.SH NAME
thalweg \\- AI gateway that finds the place where each request should run
.SH SYNOPSIS
.B thalweg
.I command
.RI [ options ]
.SH DESCRIPTION
TEXT
"$program" --help | awk '/^Usage:/ {exit} {print}' | escaped
echo '.SH COMMANDS'
for name in $("$program" --help | names_in); do help_of "$name"; done
cat <<'TEXT'
.SH EXIT STATUS
0: done. 1: failed or refused. 2: wrong use, or a configuration with errors.
.SH FILES
.TP
.I thalweg.yaml
the configuration, in the current folder unless said otherwise; the service's is
.I /etc/thalweg/thalweg.yaml
TEXT
