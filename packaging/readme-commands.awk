# readme-commands.awk: prints every command that README.md names in the chapters that test-readme.sh follows,
# each once, in order: lines of code, commands in the text, and those that a table stands for (`GET /x`,
# `kill -HUP`, `man 1 qccctl`, `qccctl WORD`, `qccctl WORD --option`).
BEGIN {
    split("Claude Code in two lines|A first configuration|Install|Commands and signals|Operate|Upgrade|" \
          "Asking a running QCC|Metrics|Logs|The sandbox of the workers", names, "|")
    for (i in names) followed[names[i]] = 1
    programs = "^(sudo|make|export|eval|apt|chown|chmod|usermod|runuser|set|systemctl|journalctl|" \
               "qccctl|qcc-supervisor|qcc-worker)( |$)"
}
function name(command) {
    sub(/  +#.*/, "", command) # a comment behind it
    if (!(command in seen)) {
        seen[command] = 1
        print command
    }
}
# A cell of the table of qccctl's commands, such as: logs [-f] [-n LINES]
function of_qccctl(span, words, n, i, first) {
    gsub(/[][]/, " ", span)
    n = split(span, words, " ")
    first = "qccctl " words[1]
    if (index(span, "|") == 0) name(first)
    for (i = 2; i <= n; i++)
        if (words[i] ~ /^-/) name(first " " words[i])
        else if (words[i] ~ /\|/) {
            split(words[i], either, "|")
            name(first " " either[1])
            name(first " " either[2])
        }
}
/^## / { on = substr($0, 4) in followed; chapter = substr($0, 4) }
!on { next }
!/^\|/ { table = "" }
/^    / {
    line = substr($0, 5)
    prompt = sub(/^\$ /, "", line)
    if (prompt || line ~ programs) name(line)
    next
}
/^\| `qccctl` \|/ { table = "qccctl"; next }
/^\| SIG/ {
    cell = $0
    sub(/^\| /, "", cell)
    sub(/ \|.*/, "", cell)
    n = split(cell, signals, ", ")
    for (i = 1; i <= n; i++) name("kill -" substr(signals[i], 4))
    next
}
{
    line = $0
    gsub(/\\\|/, "\001", line)
    if (table == "qccctl") sub(/ \|.*/, "", line)
    method = ""
    while (match(line, /`[^`]+`/)) {
        span = substr(line, RSTART + 1, RLENGTH - 2)
        line = substr(line, RSTART + RLENGTH)
        gsub(/\001/, "|", span)
        if (span ~ /^(GET|POST) /) {
            method = substr(span, 1, index(span, " ")) "/api/v1"
            name(span)
        } else if (span ~ /^\// && method != "") name(method span)
        else if (table == "qccctl" && span !~ programs) of_qccctl(span)
        else if (span ~ /^[a-z.-]+\([0-9]\)$/) name("man " substr(span, length(span) - 1, 1) " " substr(span, 1, length(span) - 3))
        else if (chapter == "Operate" && span ~ /^--/) { sub(/ .*/, "", span); name("qccctl " span) }
        else if (span ~ programs && span ~ / /) name(span)
    }
}
