#!/usr/bin/env bash
# test-image.sh [IMAGE]: the container image (default: that of this tree, made anew) as an engine would run it, in
# namespaces, without one: its form, its user, a request, failover, health check, log, state, a clean stop, and two
# side by side behind a front, of which the older one is stopped under a stream. As root or not. EMULATED says by what the
# programs are run where they are another machine's (test-arm64.sh). Where docker or podman
# run, the manual's commands are followed too. Prints "N passed, N failed"; says so where it cannot run.
# shellcheck disable=SC2016 # what is in single quotes is for a shell in there
set -u
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=packaging/box.sh
. packaging/box.sh

if [ -z "${QCC_IMAGE_TEST:-}" ]; then
    space=()
    # root of all, or of a namespace of one user
    [ "$(id -u) $(awk '{ print $3 }' /proc/self/uid_map)" = '0 4294967295' ] || space=(--user --map-root-user)
    for tool in unshare nsenter python3 curl ip; do
        command -v $tool >/dev/null || cannot "there is no $tool here"
    done
    unshare "${space[@]}" --mount --net --pid --fork --mount-proc true 2>/dev/null || cannot 'no namespaces may be made here'
    QCC_IMAGE_TEST=${space[0]:-root} exec unshare "${space[@]}" --mount --propagation private --net --pid --fork --kill-child \
        --mount-proc "$0" "$@"
fi
ip link set lo up

work=$box_top/build/test-image
root=$work/root
version=$(make -s version)
arch=$(dpkg --print-architecture)
image=${1:-build/qcc-image-$version-$arch.tar}
message='{"model":"claude-sonnet-4-5","max_tokens":64,"messages":[{"role":"user","content":"Hello"}]}'
rm -rf "$work" || cannot "$work is left over from another user: remove it"
mkdir -p "$work"

: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct 2>/dev/null || date +%s)}"
export SOURCE_DATE_EPOCH
if [ $# = 0 ]; then
    deb=$(ls build/qcc_*_"$arch".deb 2>/dev/null) || { check 'make deb' packaging/deb.sh "$version" && deb=$(ls build/qcc_*_"$arch".deb); }
    check 'packaging/image.sh' packaging/image.sh "$version" "$arch" "$deb" || { total; exit 1; }
    check '... a second time' packaging/image.sh "$version" "$arch" "$deb" "$work/again"
    check '... gives the same bytes' cmp "$image" "$work/again/$(basename "$image")"
fi
[ -x build/release/fake_upstream ] || make -s -j"$(nproc)" build/release/fake_upstream || exit 1

# ---- its form

form() { packaging/check-image.py "$image" "$work"; }
check 'an OCI image: digests, sizes, platform, user, stop signal, health check, volume, owners, no shell, 40 MB at most' form ||
    { total; exit 1; }
if command -v skopeo >/dev/null; then
    check 'skopeo reads it' skopeo inspect "oci-archive:$image"
fi
mkdir "$root"
same=--same-owner
[ "$QCC_IMAGE_TEST" = root ] || same=--no-same-owner
while read -r layer; do tar -C "$root" $same -xzpf "$work/layout/$layer"; done <"$work/layers"
mapfile -t entry <"$work/entry"
mapfile -t health <"$work/health"
mapfile -t env <"$work/env"
user=$(cat "$work/user")

# ---- as an engine runs it

# container NAME COMMAND...: in the foreground, as process 1 of a namespace, as the image's user, without privileges, in
# the image's environment and what is in the array `given`; the root cannot be written. $work/NAME/etc, where there is
# one, is its /etc/qcc, $work/NAME/state its volume.
given=()
container() {
    local name=$1
    shift
    mkdir -p "$work/$name/state"
    [ "$QCC_IMAGE_TEST" != root ] || [ -e "$work/$name/given" ] || chown "$user" "$work/$name/state"
    local into=(setpriv --no-new-privs --inh-caps=-all /usr/sbin/chroot --userspec="$user" --groups= "$root")
    [ "$QCC_IMAGE_TEST" = root ] ||
        into=(setpriv --no-new-privs /usr/bin/unshare --user --map-user="${user%:*}" --map-group="${user#*:}" --root="$root" --wd=/var/lib/qcc)
    exec env -i "${env[@]}" "${given[@]}" /usr/bin/unshare --mount --pid --fork --kill-child /bin/sh -c '
        set -e
        root=$1 at=$2
        shift 2
        mount --bind "$root" "$root"
        mount -o remount,bind,ro "$root"
        [ ! -d "$at/etc" ] || mount --bind "$at/etc" "$root/etc/qcc"
        mount --bind "$at/state" "$root/var/lib/qcc"
        mount -t tmpfs -o mode=1777 run "$root/run"
        mount -t tmpfs -o mode=1777 tmp "$root/tmp"
        mount -t tmpfs -o mode=755 dev "$root/dev"
        for d in null zero urandom random; do : >"$root/dev/$d"; mount --bind /dev/$d "$root/dev/$d"; done
        mount -t proc proc "$root/proc"
        exec "$@"' sh "$root" "$work/$name" "${into[@]}" "$@"
}
# start NAME: in the background, by the image's own command; its log is $work/NAME/log, its keeper ${keeper[NAME]}
declare -A keeper
start() {
    local name=$1
    mkdir -p "$work/$name"
    container "$name" "${entry[@]}" </dev/null >"$work/$name/log" 2>&1 &
    keeper[$name]=$!
}
init_of() { pgrep -P "${keeper[$1]}"; }
# in_it NAME COMMAND...: what `docker exec` is
in_it() {
    local name=$1 pid as=(--setuid "${user%:*}" --setgid "${user#*:}")
    shift
    pid=$(init_of "$name") || return
    [ "$QCC_IMAGE_TEST" = root ] || as=(--user --preserve-credentials)
    env -i "${env[@]}" /usr/bin/nsenter -t "$pid" "${as[@]}" --mount --pid --root --wd "$@"
}
healthy() { in_it "$1" "${health[@]}"; }
stop() { kill -TERM "$(init_of "$1")"; }
ended() { ! kill -0 "${keeper[$1]}" 2>/dev/null; }

# conf NAME PORT: a configuration with keys out of the environment; the first endpoint fails, the second one serves
conf() {
    mkdir -p "$work/$1/etc"
    cat >"$work/$1/etc/qcc.yaml" <<END
listen: ["0.0.0.0:$2"]
admin: {listen: "0.0.0.0:$(($2 + 1))", token: "\${QCC_ADMIN_TOKEN}"}
clients: [{name: client, token: "\${QCC_TOKEN}"}]
balance: {strategy: priority_failover}
state_dir: /var/lib/qcc
endpoints:
  - {name: bad, base_url: "http://127.0.0.1:7870/s/status=503", api_key: "\${ANTHROPIC_API_KEY}", models: {allow: ["claude-sonnet-*"]}}
  - {name: good, base_url: "http://127.0.0.1:7870/s/name=good", api_key: "\${ANTHROPIC_API_KEY}", priority: 2, models: {allow: ["claude-sonnet-*"]}}
  - {name: long, base_url: "http://127.0.0.1:7870/s/events=40,gap_ms=200", api_key: "\${ANTHROPIC_API_KEY}", models: {allow: ["claude-opus-*"]}}
END
}
ask() { # PORT CURL-OPTION...
    local port=$1
    shift
    curl -sS --fail-with-body --max-time 20 "http://127.0.0.1:$port/v1/messages" -H 'authorization: Bearer client-token-1' \
        -H 'content-type: application/json' -d "$message" "$@"
}
ready() { curl -sf -o /dev/null --max-time 5 -H 'authorization: Bearer admin-token-1' "http://127.0.0.1:$(($1 + 1))/readyz"; }

build/release/fake_upstream --quiet --listen 127.0.0.1:7870 >/dev/null 2>&1 &

versions() { (container v /usr/bin/qcc-supervisor -V) 2>&1 | tee "$work/versions" | grep -q libcurl; }
check 'all libraries are there, those that are loaded later too' versions
missing() { ! (container m "${entry[@]}") >"$work/missing" 2>&1 && grep -q QCC_TOKEN "$work/missing"; }
check 'without its two variables it says which one is missing' missing
given=(QCC_TOKEN=client-token-1 ANTHROPIC_API_KEY=sk-1 QCC_ADMIN_TOKEN=admin-token-1)
own_conf() { (container o "${entry[0]}" -t "${entry[@]:1}"); }
check 'with them its own configuration is good' own_conf

conf a 8860
start a
check 'it serves, from a mounted file and ${NAME}' until_true 20 ready 8860 || { tail "$work/a/log"; total; exit 1; }
check 'the health check is content' healthy a
over() { ask 8860 -o /dev/null -D "$work/head" && grep -qi '^x-qcc-endpoint: good' "$work/head" && grep -qi '^x-qcc-attempts: [2-9]' "$work/head"; }
check 'a request fails over' over
check 'without the token it is refused' sh -c '[ "$(curl -s -o /dev/null -w "%{http_code}" -d "{}" http://127.0.0.1:8860/v1/messages)" = 401 ]'
logged() { grep -q '"msg":"request"' "$work/a/log" && /usr/bin/python3 -c 'import json,sys
for line in open(sys.argv[1]): json.loads(line)' "$work/a/log"; }
check 'its log on stderr is JSON, each line of it' until_true 5 logged
# Outside of a namespace of users its number is the image's; within one it is whoever runs this.
nobody_special() {
    local pid n=0 line
    for pid in $(in_it_pids a); do
        line=$(awk '/^(CapPrm|CapEff|CapAmb):/ && $2 !~ /^0+$/ { bad = 1 } /^NoNewPrivs:/ && $2 != 1 { bad = 1 } /^Uid:/ { uid = $3 }
            END { print bad ? "privileged" : uid }' "/proc/$pid/status")
        [ "$line" = "$([ "$QCC_IMAGE_TEST" = root ] && echo "${user%:*}" || echo 0)" ] || { echo "$pid: $line"; return 1; }
        n=$((n + 1))
    done
    [ $n -ge 4 ]
}
in_it_pids() { # processes of its process namespace
    local pid space
    space=$(readlink "/proc/$(init_of "$1")/ns/pid")
    for pid in /proc/[0-9]*; do [ "$(readlink "$pid/ns/pid" 2>/dev/null)" != "$space" ] || echo "${pid#/proc/}"; done
}
check 'no process is root, has a capability, or may gain one' nobody_special
filtered() {
    local pid n=0
    for pid in $(in_it_pids a); do
        case $(cat "/proc/$pid/comm") in
            qcc-worker | qcc-recorder) grep -q '^Seccomp:.2' "/proc/$pid/status" || return 1; n=$((n + 1)) ;;
        esac
    done
    [ $n -ge 2 ]
}
if [ -n "${EMULATED:-}" ]; then
    skip "workers and recorder are in their sandbox: $EMULATED passes no seccomp on"
else
    check 'workers and recorder are in their sandbox' filtered
fi
sed -i 's,s/name=good,&/v2,' "$work/a/etc/qcc.yaml"
reloaded() { in_it a /usr/bin/qccctl reload | grep -q 'generation 2' && ask 8860 -o /dev/null; }
check 'a reload of the mounted file' reloaded
check 'qccctl upgrade, in the container: process 1 stays' in_it a /usr/bin/qccctl upgrade
check 'it serves after it' until_true 10 ready 8860
kept() { [ -s "$work/a/state/history.db" ] && [ -s "$work/a/state/secret" ]; }
check 'the state is in the volume' until_true 10 kept

conf again 8880
second() { until_true 20 ended again && ! wait "${keeper[again]}" && grep -q 'state_dir' "$work/again/log"; }
ln -s "$work/a/state" "$work/again/state"
start again
check 'a second one on the same volume does not start, and says why' second

# ---- two side by side: the container's own upgrade

# What a cluster's service is: new connections go to the port that the file names, those that are open stay.
cat >"$work/front.py" <<'END'
import asyncio, sys
async def pump(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()
async def client(reader, writer):
    port = int(open(sys.argv[2]).read())
    try:
        r, w = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return writer.close()
    await asyncio.gather(pump(reader, w), pump(r, writer))
async def main():
    async with await asyncio.start_server(client, "127.0.0.1", int(sys.argv[1])) as server:
        await server.serve_forever()
asyncio.run(main())
END
to() { echo "$1" >"$work/to.new" && mv "$work/to.new" "$work/to"; }
to 8860
/usr/bin/python3 "$work/front.py" 8800 "$work/to" >/dev/null 2>&1 &
check 'a front before the two' until_true 10 ask 8800 -o /dev/null
streamed="{\"stream\":true,${message#\{}"
message=${streamed/sonnet-4-5/opus-4-1} ask 8800 -N >"$work/stream" 2>&1 &
stream=$!
check 'a stream begins at the older one' until_true 20 grep -q content_block_delta "$work/stream"
: >"$work/asked"
(while [ ! -e "$work/enough" ]; do ask 8800 -o /dev/null -w '%{http_code}\n' >>"$work/asked" 2>&1 || echo failed >>"$work/asked"; done) &
asking=$!
conf b 8870
# as a cluster gives it: of root, for the image's group
mkdir -p "$work/b/state"
[ "$QCC_IMAGE_TEST" != root ] || { chown "0:${user#*:}" "$work/b/state" && chmod 2770 "$work/b/state" && : >"$work/b/given"; }
start b
check 'the newer one starts beside it' until_true 20 ready 8870
to 8870
asked=$(wc -l <"$work/asked")
check 'the front has turned to it' until_true 10 sh -c '[ "$(wc -l <"$1")" -gt "$2" ]' sh "$work/asked" $((asked + 2))
stop a
check 'the older one stops taking connections' until_true 10 sh -c '! curl -s -o /dev/null http://127.0.0.1:8860/'
if grep -q message_stop "$work/stream"; then bad 'the stream was still running at the stop'; fi
wait $stream
whole() { [ "$(grep -c '^event: content_block_delta' "$work/stream")" = 40 ] && grep -q message_stop "$work/stream"; }
check 'its stream is not cut' whole
check 'and it ends' until_true 20 ended a
wait "${keeper[a]}"
check '... with 0, in order' sh -c '[ "$1" = 0 ] && grep -q "supervisor.*stopped" "$2"' sh $? "$work/a/log"
: >"$work/enough"
wait $asking
none_lost() { [ "$(sort -u "$work/asked")" = 200 ] && [ "$(wc -l <"$work/asked")" -gt 5 ]; }
check "none of $(wc -l <"$work/asked") requests meanwhile failed" none_lost

start a
check 'with its old volume it starts again' until_true 20 ready 8860
remembers() { in_it a /usr/bin/qccctl --json history | grep -q '"requests": *[1-9]'; }
check '... and has its history' until_true 10 remembers
kill -STOP "$(init_of a)"
unhealthy() { ! healthy "$1"; }
check 'the health check finds one that hangs' unhealthy a
kill -CONT "$(init_of a)"
stop a
stop b
check 'both stop' until_true 20 sh -c '! kill -0 "$1" 2>/dev/null && ! kill -0 "$2" 2>/dev/null' sh "${keeper[a]}" "${keeper[b]}"

# ---- the manual's commands, by an engine

page=packaging/man/qcc-container.7.md
engine=()  # its command
options=() # what its `run` needs here
# Some machines let nobody raise limits, or have control groups that one of the runtimes does not take.
limits='--ulimit nofile=1024:4096 --ulimit nproc=4096:4096'
find_engine() {
    local candidate tried
    for candidate in 'docker' 'podman' 'podman --runtime runc'; do
        command -v "${candidate%% *}" >/dev/null || continue
        read -ra engine <<<"$candidate"
        "${engine[@]}" load -i "$image" >"$work/load" 2>&1 || continue
        for tried in '' "$limits"; do
            read -ra options <<<"--network host $tried"
            "${engine[@]}" run --rm "${options[@]}" "qcc:$version" -V >>"$work/load" 2>&1 && return
        done
    done
    return 1
}
# does WORDS: the manual's line of code that begins so, in a folder of its own. The network is the host's: of this test.
does() {
    local line
    line=$(awk -v words="    $1" 'index($0, words) == 1 { print; exit }' "$page")
    [ -n "$line" ] || { echo "the manual has no line: $1"; return 1; }
    line=$(sed -e 's/^ *//' -e "s/:VERSION/:$version/" -e 's/ -p [^ ]*//g' -e "s,build/qcc-image-\*.tar,$image," \
        -e "s|^docker run|docker run ${options[*]}|" -e "s|^docker |${engine[*]} |" <<<"$line")
    (cd "$work/engine" && QCC_TOKEN=client-token-1 ANTHROPIC_API_KEY=sk-1 bash -c "$line")
}
serves() { [ "$(curl -s -o /dev/null -w '%{http_code}' -I http://127.0.0.1:7860/)" = 200 ]; }
gone() { ! serves; }
in_order() { [ "$("${engine[@]}" inspect -f '{{.State.ExitCode}}' qcc)" = 0 ]; }
says_json() { does 'docker logs' >"$work/engine/log" 2>&1 && /usr/bin/python3 -c 'import json,sys
for line in open(sys.argv[1]): json.loads(line)' "$work/engine/log"; }
by_engine() {
    mkdir -p "$work/engine/conf"
    image=$(realpath "$image")
    sed -n '/^    listen:/,/^$/s/^    //p' "$page" >"$work/engine/conf/qcc.yaml"
    printf '%s\n' QCC_TOKEN=client-token-1 QCC_ADMIN_TOKEN=admin-token-1 ANTHROPIC_API_KEY=sk-1 RELAY_KEY=sk-2 >"$work/engine/qcc.env"
    "${engine[@]}" rm -f qcc >/dev/null 2>&1
    check 'docker load' does 'docker load'
    check 'docker run, as the image comes' does 'docker run -d --name qcc -p 127.0.0.1:7860:7860 -e'
    check '... serves' until_true 20 serves
    check 'docker exec' until_true 10 does 'docker exec qcc qccctl status'
    check 'docker logs: JSON' says_json
    check 'docker stop' does 'docker stop'
    check '... it is gone' until_true 5 gone
    check '... in order' in_order
    "${engine[@]}" rm qcc >/dev/null
    check 'docker run, with a folder of your own' does 'docker run -d --name qcc -p 127.0.0.1:7860:7860 --env-file'
    check '... serves' until_true 20 serves
    check 'docker exec: a reload' does 'docker exec qcc qccctl reload'
    "${engine[@]}" rm -f qcc >/dev/null
    "${engine[@]}" volume rm qcc-state >/dev/null
    "${engine[@]}" rmi "qcc:$version" >/dev/null
}
if [ "$QCC_IMAGE_TEST" != root ]; then
    skip "the manual's commands with docker or podman: this is not root"
elif find_engine; then
    say "the manual's commands, with ${engine[*]}"
    by_engine
else
    skip "the manual's commands: neither docker nor podman runs here ($(tail -n 1 "$work/load" 2>/dev/null))"
fi
total
