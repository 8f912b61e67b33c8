# shellcheck shell=bash
# test-readme-steps.sh: the steps of test-readme.sh, which sources it; chapter by chapter where the order allows.
# A new command in README or manual gets its step here.
# shellcheck disable=SC2016 # what is in single quotes is for a shell in there
# shellcheck disable=SC2034,SC2154 # code, with and input are read by, dir and work come from test-readme.sh

message='{"model":"claude-sonnet-4-5","max_tokens":64,"messages":[{"role":"user","content":"Hello"}]}'
ask() { # CURL-OPTION...
    inside curl -sS --fail-with-body --max-time 20 http://127.0.0.1:7860/v1/messages -H 'content-type: application/json' \
        -d "$message" "$@"
}
site() { inside curl -sSf -o /dev/null -X PUT --data-binary "$2" "http://127.0.0.1:7870/_site/$1"; } # NAME SPEC
upstream() {
    inside /usr/local/bin/fake_upstream --quiet --listen 127.0.0.1:7870 ${1:+--tls /root/cert.pem /root/key.pem --listen 127.0.0.1:443} >/dev/null &
    until_true 10 inside curl -s -o /dev/null http://127.0.0.1:7870/
}
no_process() { ! inside pgrep -x "$1"; }

# ---- without systemd: the first configuration, a supervisor of one's own

# Which key each endpoint of the first configuration got: the main one, and the fallback while that is out.
keys_arrive() {
    asked_by_claude main || return
    as alice 'qccctl disable main' && asked_by_claude fallback || return
    cat "$work/main" "$work/fallback"
    grep -q 'sk-official' "$work/main" && ! grep -qi 'bearer' "$work/main" &&
        grep -qi 'bearer sk-relay' "$work/fallback" && grep -qi 'x-api-key.*sk-relay' "$work/fallback" &&
        ! grep -q 'demo' "$work/main" "$work/fallback"
}
asked_by_claude() { # ENDPOINT: it gives the reply, of which $work/ENDPOINT is a copy
    as alice 'export ANTHROPIC_BASE_URL=http://127.0.0.1:7860; export ANTHROPIC_AUTH_TOKEN=demo; claude' >"$work/$1" 2>&1 &&
        tr -d '\r' <"$dir/home/alice/head" | grep -qx "x-qcc-endpoint: $1" || { cat "$work/$1" "$dir/home/alice/head"; false; }
}
run_of_make() {
    local run
    mkdir -p "$work/conf"
    cp "$dir/home/alice/qcc/qcc.yaml" "$work/conf/qcc.yaml"
    ANTHROPIC_API_KEY=sk-official RELAY_KEY=sk-relay unshare --net sh -c 'ip link set lo up; exec "$@"' sh \
        make run CONF="$work/conf/qcc.yaml" </dev/null >"$work/run.log" 2>&1 &
    run=$!
    until_true 60 grep -q 'Ctrl-C stops' "$work/run.log"
    pkill -TERM -f "^build/release/qcc-supervisor -c $work/conf/qcc.yaml" # of this process namespace
    wait $run
    cat "$work/run.log"
    grep -q "QCC serves $work/conf/qcc.yaml on http://127.0.0.1:7860" "$work/run.log"
}

demo_of_cluster() {
    local run
    unshare --net sh -c 'ip link set lo up; exec "$@"' sh make cluster-demo </dev/null >"$work/cluster.log" 2>&1 &
    run=$!
    until_true 120 grep -q 'Ctrl-C stops' "$work/cluster.log"
    pkill -TERM -f '^bash packaging/cluster-demo.sh' # of this process namespace
    wait $run
    cat "$work/cluster.log"
    grep -q 'Two QCC share what they know' "$work/cluster.log"
}

without_systemd() {
    local here=/home/alice/qcc/qcc.yaml
    check 'without systemd the package starts nothing' silent
    upstream tls

    # the simulated upstream has no place "/claude" but "/n/claude"
    block README.md '## A first configuration' | sed 's,example.org/claude,example.org/n/claude,' | put $here
    local keys='export ANTHROPIC_API_KEY=sk-official RELAY_KEY=sk-relay; '
    code=1 types alice 'qcc-supervisor -t -c qcc.yaml' 'says where a key is missing' says 'qcc.yaml:[0-9]+:[0-9]+: .*ANTHROPIC_API_KEY'
    with="s/^/$keys/" types alice 'qcc-supervisor -t -c qcc.yaml' 'finds no fault' says "^qcc.yaml: good"
    with="s/^/$keys/; s/\$/ >log 2>\&1 \& echo \$! >pid/" types alice 'qcc-supervisor -c qcc.yaml' 'serves' \
        until_true 20 answers /readyz
    follow 'export ANTHROPIC_BASE_URL=http://127.0.0.1:7860'
    follow 'export ANTHROPIC_AUTH_TOKEN=demo'
    check 'Claude Code in two lines: each endpoint gets its own key, in its own way' keys_arrive
    with='s/$/ $(cat pid)/' types alice 'kill -INT' 'ends it' until_true 20 no_process qcc-supervisor
    check '... in order' has 'supervisor: stopped' /home/alice/qcc/log
    follow 'make run CONF=qcc.yaml'
    check 'make run CONF=qcc.yaml' run_of_make
    follow 'make cluster-demo'
    check 'make cluster-demo' demo_of_cluster

    with='s/^/runuser -u qcc -- /; s/$/ >\/tmp\/qcc.log 2>\&1 \& echo $! >\/tmp\/pid/' \
        types root 'qcc-supervisor -c /etc/qcc/qcc.yaml' 'serves as user qcc' until_true 20 answers /healthz
    tell root 'runuser -u qcc -- qccctl status' 'and qccctl finds it as user qcc' says 'serving'
    with='s/$/ $(pgrep -o -x qcc-supervisor)/' types root 'kill -TERM' 'ends it' until_true 20 no_process qcc-supervisor
    check '... in order' has 'supervisor: stopped' /tmp/qcc.log
}

# ---- Install

conf() { put /etc/qcc/qcc.yaml; }
keyed='endpoints: [{name: a, base_url: "http://127.0.0.1:7870/n/a", api_key_file: /etc/qcc/a.key}]'
from_env='endpoints: [{name: a, base_url: "http://127.0.0.1:7870/n/a", api_key: "${A_KEY}"}]'

install_chapter() {
    types alice 'sudo apt install ./build/qcc_*.deb' 'starts the service at once' until_true 20 active || return
    upstream tls
    tell alice 'export ANTHROPIC_BASE_URL=http://127.0.0.1:7860 ANTHROPIC_AUTH_TOKEN=my-own; claude' \
        "as installed, a client's own credentials reach the official API" says '[Bb]earer my-own'

    site a key=k1
    echo k1 | put /etc/qcc/a.key
    with='s,$, /etc/qcc/a.key,' types root 'chown root:qcc' 'is done'
    with='s,$, /etc/qcc/a.key,' types root 'chmod 0640' 'is done'
    conf <<<"$keyed"
    types alice 'sudo qcc-supervisor -t -c /etc/qcc/qcc.yaml' 'finds no fault'
    types alice 'sudo systemctl reload qcc' 'the key of api_key_file is used' until_true 10 ask
    site a key=k2
    echo k2 | put /etc/qcc/a.key
    types alice 'sudo systemctl reload qcc' 'the key is read anew' until_true 10 ask
    conf <<<"wrokers: 2
$keyed"
    code=1 types alice 'sudo qcc-supervisor -t -c /etc/qcc/qcc.yaml' 'says where the fault is' says 'qcc.yaml:1:1: .*wrokers'
    code=1 types root 'systemctl reload qcc' 'fails when there is a fault; the old configuration stays' ask

    conf <<<"$from_env"
    echo 'A_KEY=k2' | put /etc/qcc/qcc.env
    types root 'systemctl restart qcc' '${NAME} comes from qcc.env' until_true 10 ask
    types alice "sudo sh -c 'set -a; . /etc/qcc/qcc.env; qcc-supervisor -t -c /etc/qcc/qcc.yaml'" 'checks with it'
    code=1 tell alice 'sudo qcc-supervisor -t -c /etc/qcc/qcc.yaml' 'and without it the check says what is missing' says A_KEY

    types root 'journalctl -u qcc' 'has the log' says 'serving on 127.0.0.1:7860'
    types root 'journalctl -u qcc -p warning' 'has priorities' says 'wrokers'
    check '... and nothing less' says_not 'serving on'
    local page
    for page in 'man 8 qcc-supervisor' 'man 1 qccctl' 'man 5 qcc.yaml' 'man 7 qcc' 'man 7 qcc-metrics' 'man 7 qcc-container' 'man 7 qcc-windows'; do
        with='s/$/ | cat/' types alice "$page" 'opens' says "^ +${page##* } .*[-‐−–]"
    done

    inside install -d -o qcc -g qcc /srv/qcc
    conf <<<"$keyed
listen: [\"127.0.0.1:7860\", \"unix:/srv/qcc/qcc.sock\"]
log: {file: /srv/qcc/qcc.log}"
    code=1 types root 'systemctl reload qcc' 'elsewhere nothing can be written'
    printf '#!/bin/sh\nprintf "[Service]\\nReadWritePaths=/srv/qcc\\n" >"$1"\n' | put /usr/local/bin/an-editor
    inside chmod +x /usr/local/bin/an-editor
    with='s,.*,SYSTEMD_EDITOR=/usr/local/bin/an-editor script -qec "&" /dev/null,' types root 'systemctl edit qcc' 'takes a drop-in' \
        inside test -s /etc/systemd/system/qcc.service.d/override.conf
    types alice 'sudo systemctl restart qcc' 'then it can' until_true 10 inside test -s /srv/qcc/qcc.log
    check '... its socket too' until_true 10 inside curl -sf -o /dev/null -I --unix-socket /srv/qcc/qcc.sock http://qcc/
    inside sh -c 'rm -r /etc/systemd/system/qcc.service.d; systemctl daemon-reload'
}

port_443() {
    inside pkill -x fake_upstream # it has 127.0.0.1:443
    until_true 5 no_process fake_upstream
    upstream ''
    inside install -d -o root -g qcc -m 0750 /etc/qcc/tls
    inside install -o root -g qcc -m 0640 /root/cert.pem /root/key.pem /etc/qcc/tls/
    conf <<<"$keyed
listen: [\"127.0.0.1:7860\", {address: \"*:443\", tls: {certificate: /etc/qcc/tls/cert.pem, private_key: /etc/qcc/tls/key.pem}}]
clients: [{name: alice, token: secret}]"
    types alice 'sudo systemctl stop qcc' 'is done' until_true 10 inactive
    types alice 'sudo systemctl enable --now qcc.socket' 'opens the port' inside systemctl -q is-active qcc.socket
    types alice 'sudo systemctl start qcc' 'serves on port 443' until_true 20 at_443
    tell root 'systemctl disable --now qcc.socket' 'the other way' true
    types root 'systemctl stop qcc' 'is done' until_true 10 inactive
    types alice 'sudo mkdir -p /etc/systemd/system/qcc.service.d' 'is done'
    types alice 'sudo cp /usr/share/doc/qcc/examples/port-443.conf /etc/systemd/system/qcc.service.d/' 'is done'
    types alice 'sudo systemctl daemon-reload' 'is done'
    types alice 'sudo systemctl restart qcc' 'serves on port 443' until_true 20 at_443
    inside sh -c 'rm -r /etc/systemd/system/qcc.service.d; systemctl daemon-reload'
}
at_443() {
    inside curl -sS --fail-with-body --max-time 5 https://localhost/v1/messages -H 'authorization: Bearer secret' \
        -H 'content-type: application/json' -d "$message"
}

# ---- Operate

# What qccctl(1) shows of `endpoints`: an official one that is the last resort, and two relays.
operate_conf() {
    conf <<'END'
balance: {use_priority: true}
state_dir: /var/lib/qcc
endpoints:
  - {name: official, base_url: "http://127.0.0.1:7870/n/official", api_key: k0, priority: 2}
  - {name: relay-a, base_url: "http://127.0.0.1:7870/n/relay-a", api_key: k1}
  - {name: relay-b, base_url: "http://127.0.0.1:7870/n/relay-b", api_key: k2}
END
}
heading() { grep -E '^ENDPOINT' "$work/out" | xargs; }
as_shown() { [ "$(heading)" = "$(block packaging/man/qccctl.1.md '$ qccctl endpoints' | sed -n '2p' | xargs)" ] || { heading; false; }; }
state_of() { inside qccctl --no-color endpoints | grep -qE "^$1 +$2"; }
id_of_request() { ask -o /dev/null -D - "$@" | tr -d '\r' | sed -n 's/^x-qcc-request-id: //p'; }
served_by() { ask -o /dev/null -D - | grep -qi "^x-qcc-endpoint: $1"; }
shell_completes() { # bash: as at the Tab key
    inside su - bob -c 'bash -c ". /usr/share/bash-completion/bash_completion; '"$1"'
        COMP_WORDS=(qccctl drain rel); COMP_CWORD=2; _qccctl; echo \${COMPREPLY[@]}; complete -p qccctl"' | grep -q 'relay-a relay-b'
}

operate_chapter() {
    local id cools='(healthy|untested) .*sonnet: cooling [0-9]+s' well='(healthy|untested) [^:]*$'
    operate_conf
    inside systemctl restart qcc
    until_true 10 answers /readyz
    code=3 tell eve 'qccctl status' 'who is not in the group is told so' says 'usermod -aG qcc eve'
    with='s/NAME/bob/' types root 'usermod -aG qcc NAME' 'is done'
    types bob 'qccctl status' 'lets him in' says 'serving' 'listens on +127.0.0.1:7860' 'endpoints +3' 'WORKER'
    code=3 tell eve 'qccctl status' 'and nobody else' says 'group'

    site relay-a status=429,retry_after=40
    site relay-b 'status=403,body=%3Chtml%3E%3Chead%3E%3Ctitle%3EJust%20a%20moment...%3C/title%3E%3C/head%3E%3Cbody%3EChecking%20your%20browser%20before%20accessing%3C/body%3E%3C/html%3E,type=text/html'
    id=$(id_of_request -H 'x-claude-code-session-id: 0b7c')
    until_true 5 state_of relay-a "$cools"
    until_true 5 state_of official healthy
    types bob 'qccctl endpoints' 'prints what the manual shows' says '^official +healthy +closed' "^relay-a +$cools" '^relay-b +queued .*wall-page \(.*\), next verification in'
    check '... with these columns' as_shown
    types bob 'qccctl endpoints --model M' 'says who would get a request' says '^relay-b '
    with='s/$/ M/' types bob 'qccctl endpoints --model' 'says it of any name' says '^relay-b '
    types bob 'qccctl queue' 'has the one that is queued' says '^relay-b '
    types bob 'qccctl dashboard' 'says where it is' says '^http://127.0.0.1:7861/$'
    types bob 'qccctl dashboard --no-open' 'opens nothing' says_not 'opened'
    types bob 'qccctl overview' 'is JSON' says '"endpoints_by_state"'
    types bob 'qccctl config' 'has what differs' says '^endpoints\[0\]\.name: '
    types bob 'qccctl config --all' 'has all' says '^limits\.body_timeout: '
    types bob 'qccctl breakers' 'has all' says '^official ' '^relay-a '
    with='s/$/ | cat/' types bob 'qccctl sessions' 'is told' says ENDPOINT
    types bob 'qccctl marks' 'is told' says 'ENDPOINT|nothing is marked'
    types bob 'qccctl cluster' 'is told' says 'this host is alone'
    types bob 'qccctl history' 'is told' says '^history storing' '^file /var/lib/qcc/history.db'
    types bob 'qccctl prices' 'has the list that the package installs' says '^USD per million tokens, list prices of 2' '^claude-haiku-5-5 '
    types bob 'qccctl usage' 'says what it cost' says '^today ' '^total '
    with='s/$/ model/' types bob 'qccctl usage --by' 'has the models' says MODEL
    with='s/$/ 7d/' types bob 'qccctl usage --since' 'has 7 days' says '^total '
    with='s/$/ 0h/' types bob 'qccctl usage --until' 'ends now' says '^total '
    with='s/$/ official/' types bob 'qccctl usage --endpoint' 'is of one endpoint' says '^total '
    with='s/$/ nothing/' types bob 'qccctl usage --model' 'has none of that model' says 'no request in that time'
    with='s/$/ nobody/' types bob 'qccctl usage --client' 'has none of that client' says 'no request in that time'
    with='s/$/ UTC/' types bob 'qccctl usage --zone' 'is by that clock' says '^total '
    types bob 'qccctl usage --csv' 'has a header' says '^time,requests,ok,'
    types bob 'qccctl usage --speed' 'is told' says TOKENS/S
    types bob 'qccctl requests' 'has the request' says "${id:0:8}"
    with='s/$/ 1/' types bob 'qccctl requests' 'has one' says "${id:0:8}"
    types bob 'qccctl requests --open' 'finds none under way' says 'no request is under way'
    requests_of_the_past
    with="s/\$/ $id/" types bob 'qccctl why' 'tells the trail' says "^request $id at " 'attempt +relay-a +rate_limit, status 429' 'attempt +relay-b +.*wall-page' 'attempt +official +ok, status 200' '^end: ok'
    with="s/8d328f05/${id:0:8}/" types bob 'qccctl why 8d328f05' 'a part of the id will do' says "^request $id at "

    with='s/ --family/ relay-a& sonnet/' types bob 'qccctl reset --family' 'ends the cooldown of that family' state_of relay-a "$well"
    until_true 5 served_by official
    until_true 5 state_of relay-a "$cools"
    site relay-a ''
    site relay-b ''
    with='s/$/ relay-a/' types bob 'qccctl reset' 'clears all' state_of relay-a "$well"
    with='s/$/ relay-b/' types bob 'qccctl verify' 'takes it back' until_true 10 state_of relay-b healthy
    with='s/$/ relay-b/' types bob 'qccctl verify --no-wait' 'is begun' until_true 10 state_of relay-b healthy
    with='s/$/ relay-a/' types bob 'qccctl disable' 'takes it out' state_of relay-a disabled
    with='s/$/ relay-a/' types bob 'qccctl enable' 'takes it back' state_of relay-a '(healthy|untested)'
    with='s/$/ relay-b/' types bob 'qccctl drain' 'no new conversations' state_of relay-b draining
    types bob 'qccctl drain relay-a' 'likewise' state_of relay-a draining
    inside qccctl enable relay-b >/dev/null
    with="s/\$/ $(inside qccctl --json endpoints | grep -o '"id":"[0-9a-f]*","name":"relay-a"' | cut -d'"' -f4)/" \
        types bob 'qccctl enable' 'by its id' state_of relay-a '(healthy|untested)'
    code=1 tell bob 'qccctl disable nobody' 'an endpoint that is not there' says 'no endpoint has that'

    types bob 'qccctl reload' 'waits for it' says 'generation 2'
    echo 'wrokers: 2' >>"$dir/etc/qcc/qcc.yaml"
    code=1 types bob 'qccctl reload' 'prints the faults' says 'qcc.yaml:[0-9]+:[0-9]+: .*wrokers'
    operate_conf
    with='s,.*,timeout -s INT 3 script -qec "& 1" /dev/null; true,' types bob 'qccctl status --watch' 'again and again' twice 'WORKER'
    with='s,.*,timeout -s INT 3 script -qec "& 1" /dev/null; true,' types bob 'qccctl endpoints --watch' 'again and again' twice 'relay-a'

    types bob 'qccctl events' 'has what happened' says ' reload +done, generation' ' relay-a: '
    with='s/^/timeout 2 /; s/$/; true/' types bob 'qccctl events -f' 'and new ones' says ' reload +done, generation'
    with='s/$/ relay-a/' types bob 'qccctl events --endpoint' 'only its own' says_not ' relay-b: '

    types bob 'qccctl logs' 'has the newest lines' says 'wrokers'
    with='s/$/ 3/' types bob 'qccctl logs -n' 'so many' test_lines 3
    with='s/$/ warning/' types bob 'qccctl logs --level' 'only these' says_not ' info '
    with='s/^/timeout 2 /; s/$/; true/' types bob 'qccctl logs -f --level warning' 'only these, and new ones' says_not ' info '
    with="s/\$/ $id/" types bob 'qccctl logs --grep' 'only those' says "\\[$id\\]: request .* endpoint=official attempts=3 "
    check 'a request while the log is followed' followed_log

    types bob 'qccctl env' 'says what to set' says '^export ANTHROPIC_BASE_URL=http://127.0.0.1:7860$'
    with='s/$/; echo "at $ANTHROPIC_BASE_URL"/' types bob 'eval "$(qccctl env)"' 'sets it' says '^at http://127.0.0.1:7860$'
    types bob 'qccctl run claude' 'runs a client with it' says '"type": *"message"'
    with='s/$/ sh -c "exit 5"/' code=5 types bob 'qccctl run' "has its client's exit code"
    import_steps

    types bob 'qccctl completion bash' 'prints it' says 'complete -F'
    check 'which bash takes' shell_completes 'source <(qccctl completion bash);'
    check 'and finds where the package has put it' shell_completes '_completion_loader qccctl;'
    types bob 'qccctl completion zsh' 'prints it' says '#compdef qccctl'
    tell bob 'zsh -fc "autoload -U compinit; compinit -D -u; print \$_comps[qccctl]"' 'and zsh finds it' says '_qccctl'

    with='s,$, /run/qcc/control.sock endpoints,' types bob 'qccctl --socket' 'finds it' says '^official'
    tell bob 'QCC_SOCKET=/run/qcc/control.sock qccctl endpoints' 'so does $QCC_SOCKET' says '^official'
    echo 'control_socket: /run/qcc/control.sock' >>"$dir/etc/qcc/qcc.yaml"
    with='s,$, /etc/qcc/qcc.yaml endpoints,' types root 'qccctl --config' 'finds it' says '^official'
    operate_conf
    with='s/$/ endpoints/' types bob 'qccctl --json' 'prints the document' says '"name":"official"'
    types bob "qccctl --json endpoints | jq -r '.endpoints[].name'" 'prints the names' says '^relay-b$'
    with='s/$/ 5 endpoints/' types bob 'qccctl --timeout' 'waits at most so long' says '^official'
    types bob 'qccctl --help' 'prints the commands' says 'drain +ENDPOINT'
    types bob 'qccctl help' 'prints the commands' says 'drain +ENDPOINT'
    types bob 'qccctl --version' 'prints the version' says '[0-9]\.[0-9]'
    types bob 'qccctl version' 'prints the version' says '[0-9]\.[0-9]'
    tell bob 'script -qec "qccctl endpoints" /dev/null' 'colored on a terminal' says "$(printf '\033')\\["
    with='s,.*,script -qec "& endpoints" /dev/null,' types bob 'qccctl --no-color' 'not colored' says_not "$(printf '\033')\\["
    tell bob 'NO_COLOR=1 script -qec "qccctl endpoints" /dev/null' 'nor with NO_COLOR' says_not "$(printf '\033')\\["
    code=2 tell bob 'qccctl frobnicate' 'wrong usage' says frobnicate

    types bob 'qccctl stop' 'stops the service' until_true 10 inactive
    code=3 tell bob 'qccctl status' 'no supervisor there' says '.'
    tell alice 'sudo systemctl start qcc' 'it starts by hand' until_true 10 answers /readyz
    types bob 'qccctl stop --wait' 'has stopped it when it returns' silent
    tell alice 'sudo systemctl start qcc' 'it starts by hand' until_true 10 answers /readyz
}
twice() { [ "$(grep -c "$1" "$work/out")" -ge 2 ]; }
test_lines() { [ "$(wc -l <"$work/out")" = "$1" ]; }
followed_log() {
    follow 'qccctl logs -f'
    rm -f "$work/follow.out"
    as bob 'timeout 4 qccctl logs -f -n 1' >"$work/follow.out" 2>&1 &
    local reader=$!
    until_true 3 test -s "$work/follow.out"
    ask -o /dev/null
    wait $reader
    cat "$work/follow.out"
    tail -n +2 "$work/follow.out" | grep -q 'request method=POST'
}

import_steps() {
    inside su - bob -c 'mkdir -p ~/.fastcc; cat >~/.fastcc/config.json' <<'END'
{"active_profile": "work", "profiles": {
  "work": {"color": "red", "endpoints": [
    {"base_url": "https://one.example.org", "api_key": "sk-one", "weight": 100, "priority": 1, "enabled": true},
    {"base_url": "https://two.example.org", "api_key": "sk-two", "weight": 50, "priority": 2, "enabled": true}]},
  "home": {"base_url": "https://three.example.org", "api_key": "sk-three"}}}
END
    types bob 'qccctl import ~/.fastcc/config.json' 'says what the manual shows' says '^warning: profiles.work.color: not understood, left out$' '^qcc.yaml: 3 endpoints, checked$'
    check 'the result has mode 0600' test "$(inside stat -c %a /home/bob/qcc/qcc.yaml)" = 600
    with='s/$/ -c qcc.yaml/' types bob 'qcc-supervisor -t' 'takes the result'
    code=1 types bob 'qccctl import ~/.fastcc/config.json' 'overwrites nothing' says 'qcc.yaml'
    follow 'qccctl --force'
    with='s,import,& ~/.fastcc/config.json,' types bob 'qccctl import --force' 'unless told to' says 'checked'
    with='s,$, other.yaml ~/.fastcc/config.json,' types bob 'qccctl import -o' 'makes that file' says 'other.yaml: 3 endpoints'
    with='s,$, home -o home.yaml ~/.fastcc/config.json,' types bob 'qccctl import -p' 'takes that profile' says 'home.yaml: '
    follow 'qccctl import'
}

# The request of $id, which ended a moment ago, by each condition; and what can be done with the history's file.
requests_of_the_past() {
    local past='s/--/requests --/'
    until_true 5 in_history
    with="$past;"'s/$/ 1h/' types bob 'qccctl --since' 'finds it in the history' says "${id:0:8}"
    with="$past;"'s/$/ 1h/' types bob 'qccctl --until' 'has none that ended before' says_not "${id:0:8}"
    with="$past;"'s/$/ official/' types bob 'qccctl --endpoint' 'is by the endpoint' says "${id:0:8}"
    with="$past;"'s/$/ nobody/' types bob 'qccctl --client' 'has none of that client' says_not "${id:0:8}"
    with="$past;"'s/$/ claude-sonnet-4-5/' types bob 'qccctl --model' 'is by the model' says "${id:0:8}"
    with="$past;"'s/$/ 200/' types bob 'qccctl --status' 'is by the status' says "${id:0:8}"
    with="$past" types bob 'qccctl --failed' 'has none that were served' says_not "${id:0:8}"
    with="$past;"'s/$/ rate_limit/' types bob 'qccctl --class' 'is by the class of an attempt' says "${id:0:8}"
    with="$past;"'s/$/ 3600000/' types bob 'qccctl --min-ms' 'has none of an hour' says_not "${id:0:8}"
    with="$past;"'s/$/ --since 1h/' types bob 'qccctl --csv' 'has a header' says '^time,'
    types bob 'qccctl history check' 'finds nothing damaged' says .
    with='s/--/prune --/;s/$/ 300d/' types bob 'qccctl history --before' 'deletes what is so old' says .
    code=1 with='s/--/prune --/;s/$/ nobody/' types bob 'qccctl history --client' 'knows whom it could erase' says 'no client of that name'
}
in_history() { inside qccctl requests --since 1h | grep -qF "${id:0:8}"; }

# ---- options and signals

commands_chapter() {
    local main
    types bob 'qcc-supervisor -V' 'versions' says '^qcc.*[0-9]' 'libev'
    types bob 'qcc-supervisor --version' 'versions' says '^qcc.*[0-9]' 'libev'
    types bob 'qcc-supervisor -h' 'the options' says 'print-reference'
    types bob 'qcc-supervisor --help' 'the options' says 'print-reference'
    types bob 'qccctl env sh' 'a line for eval' says '^export ANTHROPIC_BASE_URL=http'
    types bob 'qccctl env cmd' 'the form of cmd' says '^set ANTHROPIC_BASE_URL=http://127.0.0.1:7860'
    types bob 'qccctl env powershell' 'the form of PowerShell' says "^[$]env:ANTHROPIC_BASE_URL = 'http://127.0.0.1:7860'"
    types bob 'qcc-supervisor --print-reference' 'all keys' says '^\| `listen` \|' '^### `endpoints\[\]`'
    types bob 'qcc-supervisor --print-metrics' 'all metrics' says '^\| `qcc_build_info` \|'
    with='s,$, -c /etc/qcc/qcc.yaml,' types root 'qcc-supervisor --print-control-socket' 'a path' says '/control.sock$'
    with='s/^/TOKEN=secret; /' types bob 'printf %s "$TOKEN" | sha256sum' 'a hash for token_sha256' says '^2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b'
    with='s,--connect$,-t --connect -c /etc/qcc/qcc.yaml,' types root 'qcc-supervisor --connect' 'each endpoint' says '^relay-a \(http'
    printf 'endpoints: []\nlisten: nowhere\n' | put /home/bob/qcc/bad.yaml
    with='s/$/ -c bad.yaml/' code=1 types bob 'qcc-supervisor -t' 'every fault' says '^bad.yaml:1:[0-9]+: ' '^bad.yaml:2:[0-9]+: '
    with='s/FILE/bad.yaml/' code=1 types bob 'qcc-supervisor -c FILE' 'does not serve a faulty file' says 'bad.yaml:2'
    main=$(unit MainPID)
    with="s/\$/ $main/" types root 'kill -HUP' 'reads the file again' until_true 10 newest_log 'generation'
    with="s/\$/ $main/" types root 'kill -USR2' 'upgrades' until_true 20 other_main "$main"
    with='s,^,/usr/libexec/qcc/,' types bob 'qcc-worker --sandbox-test' 'tries all of that' says '.'
}
newest_log() { inside qccctl logs -n 10 | grep "$1"; }

# ---- Upgrade

upgrade_chapter() {
    local main client
    site official events=40,gap_ms=100
    inside qccctl disable relay-a >/dev/null
    inside qccctl disable relay-b >/dev/null
    main=$(unit MainPID)
    message="{\"stream\":true,${message#\{}" ask -N >"$work/stream" 2>&1 &
    client=$!
    check 'a stream begins' until_true 10 grep -q content_block_delta "$work/stream"
    types bob 'qccctl upgrade' 'systemd has the new one for the main process' until_true 10 other_main "$main"
    wait $client
    check 'no stream is cut' grep -q message_stop "$work/stream"
    check 'what operators said goes over' state_of relay-a disabled
    message="{\"stream\":true,${message#\{}" ask -N >"$work/stream" 2>&1 &
    client=$!
    check 'a stream begins' until_true 10 grep -q content_block_delta "$work/stream"
    tell alice 'sudo systemctl stop qcc' 'after an upgrade, too, a stop waits for what is in flight' inactive
    wait $client
    check '... and no stream is cut' grep -q message_stop "$work/stream"
    tell alice 'sudo systemctl start qcc' 'it starts by hand' until_true 10 answers /readyz
    tell bob 'qccctl upgrade' 'once more' active
    main=$(unit MainPID)
    echo 'wrokers: 2' >>"$dir/etc/qcc/qcc.yaml"
    code=1 types bob 'qccctl upgrade' 'says why the new one cannot start' says wrokers
    check 'the old one goes on' test "$(unit MainPID)" = "$main"
    check '... and serves' ask
    check '... and its log says why' newest_log wrokers
    operate_conf
    inside qccctl enable relay-a >/dev/null
    inside qccctl enable relay-b >/dev/null
    site official ''
}

# ---- admin requests, metrics, logs

# asks 'METHOD PATH' PATTERN...: the admin listener's answer has each pattern.
asks() {
    local command=$1 path
    shift
    follow "$command"
    path=$(sed -e "$with" <<<"${command#* }")
    inside curl -sS --fail-with-body --max-time 10 -X "${command%% *}" "http://127.0.0.1:7861$path" >"$work/out" 2>&1 &&
        says "$@" >"$work/why" && ok "$command" || { bad "$command: $(cat "$work/why"; head -c 300 "$work/out")"; false; }
}
admin_chapter() {
    local id
    id=$(id_of_request)
    asks 'GET /healthz' '.'
    asks 'GET /readyz' '.'
    asks 'GET /metrics' '^qcc_build_info'
    asks 'GET /api/v1/overview' '"endpoints_by_state"' '"last_reload"'
    asks 'GET /api/v1/config' '"generation"'
    with='s/?.*/?n=3/' asks 'GET /api/v1/logs?n=N&level=L&grep=WORD&after=K' '"lines":'
    asks 'GET /api/v1/status' '"version"' '"workers"'
    asks 'GET /api/v1/endpoints' '"name":"relay-a"'
    asks 'GET /api/v1/breakers' 'relay-a'
    asks 'GET /api/v1/queue' '.'
    asks 'GET /api/v1/cluster' '.'
    asks 'GET /api/v1/choice?model=M' '.'
    asks 'GET /api/v1/sessions' '.'
    asks 'GET /api/v1/history' 'storing'
    until_true 5 in_history
    with='s/TIME/1h/' asks 'GET /api/v1/requests?since=TIME' "$id"
    asks 'POST /api/v1/history/check' '"job"'
    with="s/JOB/$(sed -n 's/.*"job":\([0-9]*\).*/\1/p' "$work/out")/" asks 'GET /api/v1/history/job?id=JOB' '"state"'
    with='s/=N/=5/; s/=K/=9007199254740991/; s/=NAME/=relay-a/' asks 'GET /api/v1/events?limit=N&before=K&endpoint=NAME' '"endpoint":"relay-a"'
    with=s/NAME/claude-haiku-5-5/ asks 'GET /api/v1/prices?model=NAME' '"input":0.10,'
    with='s/?.*/?by=model/' asks 'GET /api/v1/usage?by&since&until&step&zone&endpoint&model&client&keys' '"requests"'
    with='s/?.*//' asks 'GET /api/v1/usage/blocks?since&endpoint' '"running":true'
    with='s/?.*//' asks 'GET /api/v1/speed?since&until&step&zone&endpoint&model' '"first_byte_ms"'
    with='s/=N/=1/' asks 'GET /api/v1/requests?limit=N' "$id"
    asks 'GET /api/v1/requests?open=1' '"requests"'
    with="s/ID/$id/" asks 'GET /api/v1/requests/ID' "$id"
    with=s/NAME/relay-a/ asks 'POST /api/v1/endpoints/NAME/drain' .
    with=s/NAME/relay-a/ asks 'POST /api/v1/endpoints/NAME/disable' .
    with=s/NAME/relay-a/ asks 'POST /api/v1/endpoints/NAME/enable' .
    with=s/NAME/relay-a/ asks 'POST /api/v1/endpoints/NAME/verify' .
    until_true 10 served_by relay-a
    with='s/NAME/relay-a/; s/=F/=sonnet/' asks 'POST /api/v1/endpoints/NAME/reset?family=F' '"cells":\[\]'
    with=s/NAME/relay-a/ asks 'POST /api/v1/endpoints/NAME/reset' .
    asks 'POST /api/v1/reload' '"generation":'
    asks 'GET /' '<title>QCC'
    types bob 'curl -sS http://127.0.0.1:7861/api/v1/queue' 'the failure queue' says '^\{'
    types bob 'curl -sS -X POST http://127.0.0.1:7861/api/v1/endpoints/relay-a/disable' 'takes it out' state_of relay-a disabled
    inside qccctl enable relay-a >/dev/null
    types bob "curl -sS -H 'authorization: Bearer ADMIN-TOKEN' http://127.0.0.1:7861/api/v1/status" 'is answered' says '"version"'
    block packaging/man/qcc.7.md '`message.json`' | put /home/bob/qcc/message.json
    types bob "curl -sS -i http://127.0.0.1:7860/v1/messages -H 'content-type: application/json' -d @message.json" 'says where it went' says '^x-qcc-endpoint: '
}
metrics_chapter() {
    local metric missing=
    block packaging/man/qcc-metrics.7.md "Prometheus' configuration" >"$work/prometheus.yml"
    if command -v promtool >/dev/null; then
        check "promtool takes the manual's configuration" promtool check config "$work/prometheus.yml"
    else
        skip 'promtool is not here'
    fi
    check 'a scrape of its target' inside sh -c 'curl -sSf "http://$1/metrics"' sh "$(sed -n 's/.*targets: \["\(.*\)"\].*/\1/p' "$work/prometheus.yml")"
    inside curl -sSf http://127.0.0.1:7861/metrics >"$work/metrics"
    while read -r metric; do
        grep -q "^# TYPE $metric " "$work/metrics" || missing="$missing $metric"
    done < <(inside qcc-supervisor --print-metrics | sed -n 's/^| `\([a-z_]*\)`.*/\1/p')
    check "every metric of the manual is in it$missing" test -z "$missing"
}
logs_chapter() {
    local member missing='' lines log=/var/log/qcc/qcc.log
    operate_conf
    echo "log: {file: $log, format: json}" >>"$dir/etc/qcc/qcc.yaml"
    inside systemctl reload qcc
    site relay-a status=503
    site relay-b status=503
    ask -o /dev/null -H 'x-fake: in_tokens=5'
    ask -o /dev/null
    until_true 5 has '"failures"' $log
    tell root "mv $log $log.1" 'the log is renamed' ask
    with='s/$/ $(systemctl show -p MainPID --value qcc)/' types root 'kill -USR1' 'the file is opened anew' until_true 5 inside test -s $log
    ask -o /dev/null
    check 'and has what comes' until_true 5 has '"msg":"request"' $log
    cat "$dir$log.1" "$dir$log" >"$work/log"
    check 'each line is one object' sh -c '! grep -vE "^\{.*\}$" "$1"' sh "$work/log"
    lines=$(grep -c '"msg":"request".*"path":"/v1/messages"' "$work/log")
    check 'none of its lines is lost' test "$lines" = 4
    # `client` is there with `clients`, cache tokens where a reply has some
    for member in $(sed -n '/^| member /,/^$/s/^| \(`[^|]*`\) |.*/\1/p' packaging/man/qcc-metrics.7.md | tr -d '`,'); do
        case $member in client | tokens_cache_*) continue ;; esac
        grep -q "\"$member\":" "$work/log" || missing="$missing $member"
    done
    check "the manual's members are in it$missing" test -z "$missing"
    operate_conf
    inside systemctl reload qcc
}

# ---- the end

removal() {
    input=$work/yes
    with='s/$/ qcc/' types root 'apt remove' 'stops the service' until_true 20 silent
    check '... and leaves configuration and state' inside test -e /etc/qcc/qcc.yaml -a -d /var/lib/qcc
    with='s/$/ qcc/' types root 'apt purge' 'takes these too' inside sh -c '! ls -d /etc/qcc /var/lib/qcc 2>/dev/null'
    check '... and leaves the user' inside getent passwd qcc
    input=/dev/null
    follow 'make install'
    check 'make install' make -s install DESTDIR="$dir"
    tell bob 'command -v qcc-supervisor qccctl && qcc-supervisor -V' 'programs below /usr/local' says '^/usr/local/bin/qccctl'
    tell bob 'man 1 qccctl | cat' 'with the manual' says 'qccctl'
    tell root 'ANTHROPIC_API_KEY=a qcc-supervisor -t -c /usr/local/share/qcc/qcc.yaml' 'the sample is good'
}

# ---- the container image: on this machine, whose package it is made of

container_page() {
    follow 'make image'
    check 'make image' make -s image || return
    # Its own test runs the commands, where docker or podman run.
    follow 'docker load -i build/qcc-image-*.tar'
    follow 'docker run -d --name qcc -p 127.0.0.1:7860:7860 -e QCC_TOKEN -e ANTHROPIC_API_KEY qcc:VERSION'
    follow 'docker run -d --name qcc -p 127.0.0.1:7860:7860 --env-file qcc.env -v "$PWD/conf:/etc/qcc:ro" -v qcc-state:/var/lib/qcc --read-only --tmpfs /run qcc:VERSION'
    follow 'docker exec qcc qccctl status'
    follow 'docker logs qcc'
    follow 'docker exec qcc qccctl reload'
    follow 'docker stop -t 660 qcc'
    follow 'docker load'
    follow 'docker stop'
    check 'packaging/test-image.sh' packaging/test-image.sh
    # A cluster is not to be had here; tests/system/house/test_images.py reads the example.
    follow 'kubectl apply -f kubernetes.yaml'
    follow 'kubectl rollout status deployment/qcc'
    follow 'kubectl exec deployment/qcc -- qccctl reload'
    follow 'kubectl rollout restart deployment/qcc'
    skip 'kubectl: there is no cluster here'
    follow 'make deb ARCH=arm64'
    follow 'make image ARCH=arm64'
    if [ -n "${ARM64:-}" ]; then
        check 'packaging/test-arm64.sh' packaging/test-arm64.sh
    else
        skip 'make deb ARCH=arm64: packaging/test-arm64.sh does it; ARM64=1 runs that here'
    fi
}

# ---- qcc-windows(7): what of it is done in the Debian; the lines for Windows are those that qccctl prints

windows_page() {
    follow 'systemctl is-system-running'
    check 'systemctl is-system-running' booted
    with='s,\./,./build/,' types alice 'sudo apt install ./qcc_*.deb' 'is there' active
    types alice 'sudo usermod -aG qcc "$USER"' 'is done'
    tell alice 'qccctl env cmd' 'then qccctl answers' says '^set ANTHROPIC_BASE_URL=http://127.0.0.1:7860$'
    follow 'set ANTHROPIC_BASE_URL=http://127.0.0.1:7860'
}

with_systemd() {
    install_chapter || return
    operate_chapter
    windows_page
    commands_chapter
    upgrade_chapter
    admin_chapter
    metrics_chapter
    logs_chapter
    port_443
    removal
}
