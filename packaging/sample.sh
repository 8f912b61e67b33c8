#!/bin/sh
# sample.sh: prints the qcc.yaml that packages install: conf/qcc.yaml, but so that it serves at once:
# without a key (the clients' own credentials pass through, on loopback only), with a state_dir.
set -eu
cd "$(dirname "$0")/.."

change() { # REGEX REPLACEMENT: of the one line that the regular expression matches
    [ "$(echo "$text" | grep -c -e "$1")" = 1 ] || {
        echo "sample: not exactly one line of conf/qcc.yaml matches $1" >&2
        exit 1
    }
    text=$(echo "$text" | sed "s|$1|$2|")
}

text=$(cat conf/qcc.yaml)
# shellcheck disable=SC2016 # the file's ${NAME}, not the shell's
change '^    api_key: \${ANTHROPIC_API_KEY}  ' '    #api_key: ${ANTHROPIC_API_KEY} '
change '^#state_dir: null         ' 'state_dir: /var/lib/qcc '
# shellcheck disable=SC2016
change '^# \${NAME} is taken from the environment\.' '&'
# shellcheck disable=SC2016
echo "$text" | sed '/^# \${NAME} is taken from the environment/ r packaging/sample.head'
