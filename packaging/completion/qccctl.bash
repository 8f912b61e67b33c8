# shellcheck shell=bash
# bash completion for qccctl. Endpoints' names are asked of the supervisor, if it can be reached.

_qccctl_endpoints() {
    local socket=() i
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            -s | --socket) socket=(--socket "${COMP_WORDS[i + 1]}") ;;
            -c | --config) socket=(--config "${COMP_WORDS[i + 1]}") ;;
        esac
    done
    "${COMP_WORDS[0]}" "${socket[@]}" --timeout 1 endpoints --names 2>/dev/null
}

_qccctl() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} command='' at=0 i
    local commands='status endpoints queue breakers marks sessions requests why history usage events prices dashboard cluster overview config enable disable drain
        verify reset reload upgrade stop logs env run import completion help version'
    local options='--socket --config --json --no-color --timeout --help --version'
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            -s | --socket | -c | --config | --timeout) ((i++)) ;;
            -*) ;;
            *)
                command=${COMP_WORDS[i]}
                at=$i
                break
                ;;
        esac
    done
    case $prev in
        -s | --socket | -c | --config)
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
            return
            ;;
        --timeout) return ;;
    esac
    if [[ -z $command ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$commands $options" -- "$cur")
        return
    fi
    case $command in
        reset)
            if ((COMP_CWORD == at + 1)); then
                mapfile -t COMPREPLY < <(compgen -W "$(_qccctl_endpoints)" -- "$cur")
            elif [[ $prev == --family ]]; then
                mapfile -t COMPREPLY < <(compgen -W "opus sonnet haiku fable other" -- "$cur")
            elif [[ $prev != --mark ]]; then
                mapfile -t COMPREPLY < <(compgen -W "--family --mark --here" -- "$cur")
            fi
            ;;
        enable | disable | drain | verify)
            if ((COMP_CWORD == at + 1)); then
                mapfile -t COMPREPLY < <(compgen -W "$(_qccctl_endpoints)" -- "$cur")
            else
                mapfile -t COMPREPLY < <(compgen -W "--here" -- "$cur")
            fi
            ;;
        marks)
            ((COMP_CWORD == at + 1)) && mapfile -t COMPREPLY < <(compgen -W "$(_qccctl_endpoints)" -- "$cur")
            ;;
        events)
            case $prev in
                --endpoint) mapfile -t COMPREPLY < <(compgen -W "$(_qccctl_endpoints)" -- "$cur") ;;
                *) mapfile -t COMPREPLY < <(compgen -W "-f --endpoint --json" -- "$cur") ;;
            esac
            ;;
        endpoints) [[ $prev != --model ]] && mapfile -t COMPREPLY < <(compgen -W "$(_qccctl_endpoints) --model --watch --json" -- "$cur") ;;
        status) mapfile -t COMPREPLY < <(compgen -W "--watch --json" -- "$cur") ;;
        usage)
            case $prev in
                --by)
                    mapfile -t COMPREPLY < <(compgen -W "model endpoint client hour day week month total block" -- "$cur")
                    ;;
                --endpoint) mapfile -t COMPREPLY < <(compgen -W "$(_qccctl_endpoints)" -- "$cur") ;;
                --since | --until | --model | --client | --zone) ;;
                *)
                    mapfile -t COMPREPLY < <(compgen -W "--by --since --until --endpoint --model --client --zone --csv
                        --json --speed" -- "$cur")
                    ;;
            esac
            ;;
        requests)
            case $prev in
                --endpoint) mapfile -t COMPREPLY < <(compgen -W "$(_qccctl_endpoints)" -- "$cur") ;;
                --class)
                    mapfile -t COMPREPLY < <(compgen -W "ok transient rate_limit auth permanent unknown" -- "$cur")
                    ;;
                --since | --until | --model | --client | --status | --min-ms) ;;
                *)
                    mapfile -t COMPREPLY < <(compgen -W "--open --since --until --failed --class --endpoint --model --client
                        --status --min-ms --csv --json" -- "$cur")
                    ;;
            esac
            ;;
        history)
            if ((COMP_CWORD == at + 1)); then
                mapfile -t COMPREPLY < <(compgen -W "check prune backup --json" -- "$cur")
            elif [[ ${COMP_WORDS[at + 1]} == backup ]]; then
                mapfile -t COMPREPLY < <(compgen -f -- "$cur")
            elif [[ ${COMP_WORDS[at + 1]} == prune && $prev != --before && $prev != --client ]]; then
                mapfile -t COMPREPLY < <(compgen -W "--before --client" -- "$cur")
            fi
            ;;
        dashboard) mapfile -t COMPREPLY < <(compgen -W "--no-open --json" -- "$cur") ;;
        config) mapfile -t COMPREPLY < <(compgen -W "--all --json" -- "$cur") ;;
        stop) mapfile -t COMPREPLY < <(compgen -W "--wait" -- "$cur") ;;
        env) mapfile -t COMPREPLY < <(compgen -W "sh cmd powershell" -- "$cur") ;;
        completion) mapfile -t COMPREPLY < <(compgen -W "bash zsh" -- "$cur") ;;
        run)
            if ((COMP_CWORD == at + 1)); then
                mapfile -t COMPREPLY < <(compgen -c -- "$cur")
            else
                mapfile -t COMPREPLY < <(compgen -f -- "$cur")
            fi
            ;;
        logs)
            case $prev in
                --level | -l) mapfile -t COMPREPLY < <(compgen -W "debug info warning error" -- "$cur") ;;
                --grep | -g | -n | --lines) ;;
                *) mapfile -t COMPREPLY < <(compgen -W "-f -n --level --grep" -- "$cur") ;;
            esac
            ;;
        import)
            case $prev in
                -p | --profile) ;;
                -o | --output) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
                *) mapfile -t COMPREPLY < <(compgen -W "-o --force --profile" -- "$cur"; compgen -f -- "$cur") ;;
            esac
            ;;
    esac
}

complete -F _qccctl qccctl
