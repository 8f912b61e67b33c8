# readme-commands.awk README.md PAGE...: prints every command that the manual's pages name, and README.md in the
# chapters that test-readme.sh follows, each once, in order: lines of code, commands in the text, and those that a
# table or a link stands for (`GET /x`, `kill -HUP`, `man 1 qccctl`, `qccctl WORD`, `qccctl WORD --option`,
# `qcc-supervisor --option`).
BEGIN {
    split("Claude Code in two lines|A first configuration|Install", names, "|")
    for (i in names) followed[names[i]] = 1
    programs = "^(sudo|make|export|eval|apt|chown|chmod|usermod|runuser|set|systemctl|journalctl|curl|printf|" \
               "docker|kubectl|qccctl|qcc-supervisor|qcc-worker)( |$)"
}
FNR == 1 {
    page = FILENAME ~ /\.[1-8]\.md$/ ? FILENAME : ""
    sub(/.*\//, "", page)
    on = page != ""
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
/^## / { chapter = substr($0, 4); on = page != "" || chapter in followed }
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
    while (match(line, /\[[a-z.-]+\([1-8]\)\]\([^)]*\.[1-8]\.md\)/)) { # a link to a page
        span = substr(line, RSTART + 1, index(substr(line, RSTART), "]") - 2)
        line = substr(line, 1, RSTART - 1) substr(line, RSTART + RLENGTH)
        name("man " substr(span, length(span) - 1, 1) " " substr(span, 1, length(span) - 3))
    }
    gsub(/\\\|/, "\001", line)
    options = page ~ /^qcc-supervisor/ && chapter == "OPTIONS" && /^\|/
    if (table == "qccctl" || options) sub(/ \|.*/, "", line)
    while (match(line, /`[^`]+`/)) {
        span = substr(line, RSTART + 1, RLENGTH - 2)
        line = substr(line, RSTART + RLENGTH)
        gsub(/\001/, "|", span)
        if (span ~ /^(GET|POST) / && page ~ /^qcc-metrics/) name(span)
        else if (options) name("qcc-supervisor " span)
        else if (table == "qccctl" && span !~ programs) of_qccctl(span)
        else if (page ~ /^qccctl/ && span ~ /^--/) { sub(/ .*/, "", span); name("qccctl " span) }
        else if (span ~ programs && span ~ / /) name(span)
    }
}
