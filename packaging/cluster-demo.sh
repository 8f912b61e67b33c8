#!/usr/bin/env bash
# cluster-demo.sh BUILD: what `make cluster-demo` runs once all is built: an engine (redis-server or
# valkey-server), two QCC that share state through it, and a simulated upstream, all on free ports,
# in a folder that is removed at the end. It prints what to try. Ctrl-C stops all.
set -u
# Each child gets a process group of its own: Ctrl-C reaches this script alone.
set -m

build=${1:?cluster-demo.sh BUILD}
again=${CLUSTER_DEMO_AGAIN:-15} # seconds after which an engine that was killed is started again
dir=
pids=()
engine=
sleeping=
port='' fake_port='' port_1='' admin_1='' port_2='' admin_2=''

alive() { [ -n "$1" ] && kill -0 "$1" 2>/dev/null; }
fail() {
    printf 'cluster-demo: %s\n' "$*" >&2
    exit 1
}

# shellcheck disable=SC2317 # called by trap
end() {
    trap '' INT TERM HUP
    alive "$engine" && kill -CONT "$engine"
    for pid in "$sleeping" "${pids[@]}" "$engine"; do
        alive "$pid" && kill -TERM "$pid"
    done
    wait
    [ -z "$dir" ] || rm -rf "$dir"
} 2>/dev/null

trap 'exit 0' INT TERM HUP
trap end EXIT

# taken PORT: whether somebody serves there.
taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# free_port NAME: sets NAME to a port where nobody serves, another one each time.
next=$((7900 + RANDOM % 20000))
free_port() {
    while taken "$next"; do next=$((next + 1)); done
    printf -v "$1" %s "$next"
    next=$((next + 1))
}

# serves PORT PID: waits until the process serves there; false when it ends before, or after 10 s.
serves() {
    for _ in {1..100}; do
        alive "$2" || return 1
        taken "$1" && return 0
        sleep 0.1
    done
    return 1
}

# pause SECONDS: as sleep, but ends with this script.
pause() {
    sleep "$1" &
    sleeping=$!
    wait $sleeping
}

start_engine() {
    "$program" --port "$port" --bind 127.0.0.1 --save '' --appendonly no --dir "$dir" \
        --maxmemory-policy noeviction </dev/null >>"$dir/engine.log" 2>&1 &
    engine=$!
    echo $engine >"$dir/engine.pid"
    serves "$port" $engine || fail "$program does not serve: $(tail -n 3 "$dir/engine.log")"
}

# start_host NAME PORT ADMIN: a QCC of the cluster; its log goes to stdout, with its name before each line.
start_host() {
    cat >"$dir/$1.yaml" <<END
listen: 127.0.0.1:$2
workers: 1
state_dir: $dir/$1
control_socket: $dir/$1.sock
admin: {listen: "127.0.0.1:$3"}
cluster:
  url: redis://127.0.0.1:$port
  secret: $secret
  name: $1
  lease: 3s
breaker: {failure_threshold: 2, open_duration: 2m}
balance: {use_priority: true}
failure_queue: {probe: "off"}
endpoints:
  - {name: first, base_url: "http://127.0.0.1:$fake_port/n/first", api_key: demo-key-first, priority: 1, max_concurrent: 4}
  - {name: second, base_url: "http://127.0.0.1:$fake_port/n/second", api_key: demo-key-second, priority: 2}
END
    chmod 600 "$dir/$1.yaml"
    "$build/qcc-supervisor" -c "$dir/$1.yaml" </dev/null > >(sed -u "s/^/$1: /") 2>&1 &
    pids+=($!)
    serves "$2" $! || fail "the QCC $1 does not serve"
}

program=$(command -v redis-server || command -v valkey-server) || fail 'there is no redis-server and no valkey-server'
dir=$(mktemp -d "${TMPDIR:-/tmp}/qcc-cluster.XXXXXX") || fail 'there is no folder for temporary files'
secret=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
for name in port fake_port port_1 admin_1 port_2 admin_2; do free_port $name; done

start_engine
"$build/fake_upstream" --quiet --listen "127.0.0.1:$fake_port" </dev/null >/dev/null &
pids+=($!)
serves "$fake_port" $! || fail 'the simulated upstream does not serve'
start_host web-1 "$port_1" "$admin_1"
start_host web-2 "$port_2" "$admin_2"

one="$build/qccctl -c $dir/web-1.yaml"
two="$build/qccctl -c $dir/web-2.yaml"
ask="-H 'content-type: application/json' -d '{\"model\":\"claude-sonnet-4-5\",\"max_tokens\":50,\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]}'"
cat <<END

Two QCC share what they know through $program on port $port:
web-1 on http://127.0.0.1:$port_1, web-2 on http://127.0.0.1:$port_2. Try in another terminal, here:

  The hosts, as each of them sees them:
    $one cluster
    $two cluster
  A breaker that opens on web-1 is open on web-2. The endpoint first fails; ask web-1 until it opens:
    curl -s -X PUT http://127.0.0.1:$fake_port/_site/first -d 'status=502,body=bad%20gateway,type=text/html'
    for i in 1 2 3 4; do curl -s -o /dev/null http://127.0.0.1:$port_1/v1/messages $ask; done
    $two breakers
  It is mended, and an operator says so on web-2; web-1 follows:
    curl -s -X PUT http://127.0.0.1:$fake_port/_site/first -d ''
    $two reset first
    $one breakers
  The engine stops answering. Both serve on, each with what it knows:
    kill -STOP \$(cat $dir/engine.pid)
    curl -s http://127.0.0.1:$port_2/v1/messages $ask
    $two cluster
  It answers again, and all is merged:
    kill -CONT \$(cat $dir/engine.pid)
    $two cluster
  It is killed, and loses all that it had; after $again seconds it is started again, and filled by the hosts:
    kill -KILL \$(cat $dir/engine.pid)

The log of both follows here. Ctrl-C stops all.

END

# An engine that was killed comes back; a host that has ended ends the demonstration.
while alive "${pids[1]}" && alive "${pids[2]}"; do
    if ! alive "$engine"; then
        printf 'cluster-demo: the engine has ended; it is started again in %s seconds\n' "$again"
        pause "$again"
        start_engine
        printf 'cluster-demo: the engine runs again, pid %s\n' "$engine"
    fi
    pause 1
done
fail 'a QCC has ended'
