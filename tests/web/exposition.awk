# exposition.awk - a strict reader of the text format that Prometheus reads (0.0.4), for tests. Silent and 0 when every line
# is right; else a line for each thing that is wrong, and 1.
#
#     awk -f tests/web/exposition.awk FILE
#
# Stricter than the format asks: each family stands together as HELP, TYPE, samples; counters end in _total, a name's unit
# stands at its end; no sample twice; histograms are cumulative, end with +Inf and agree with their count.

function wrong(why) {
    print FNR ": " why ": " $0
    bad = 1
}

function number(s) { return s ~ /^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$/ || s ~ /^([+-]Inf|NaN)$/ }

function end_of_family() {
    if (family == "") return
    if (!samples) wrong("no sample of " family)
    if (type == "histogram" && !closed) wrong("the histogram " family " has no +Inf bucket and count")
}

# Takes the braces apart: labels["name"] = value.
function read_labels(s,    name, value) {
    split("", labels)
    while (s != "") {
        if (!match(s, /^[a-zA-Z_][a-zA-Z0-9_]*="/)) return 0
        name = substr(s, 1, RLENGTH - 2)
        s = substr(s, RLENGTH + 1)
        if (!match(s, /^([^"\\]|\\[\\n"])*"/)) return 0
        value = substr(s, 1, RLENGTH - 1)
        s = substr(s, RLENGTH + 1)
        if (name in labels || name ~ /^__/) return 0
        labels[name] = value
        if (s != "" && s !~ /^,[a-zA-Z_]/) return 0
        sub(/^,/, "", s)
    }
    return 1
}

BEGIN { types["counter"]; types["gauge"]; types["histogram"]; types["summary"] }

/^#/ {
    if ($1 != "#" || ($2 != "HELP" && $2 != "TYPE")) { wrong("neither HELP nor TYPE"); next }
    if ($3 !~ /^[a-zA-Z_:][a-zA-Z0-9_:]*$/) { wrong("no metric's name"); next }
    if ($2 == "HELP") {
        end_of_family()
        family = $3
        if (family in seen) wrong("a family that was there before")
        seen[family]
        type = ""; samples = closed = 0; last = -1
        if (NF < 4) wrong("HELP without help")
        next
    }
    if ($3 != family || type != "" || samples) wrong("TYPE does not follow its HELP")
    if (NF != 4 || !($4 in types)) wrong("no such type")
    type = $4
    if ((type == "counter") != (family ~ /_total$/)) wrong("counters, and only they, end in _total")
    next
}

{
    if (!match($0, /^[a-zA-Z_:][a-zA-Z0-9_:]*/)) { wrong("no sample"); next }
    name = substr($0, 1, RLENGTH)
    rest = substr($0, RLENGTH + 1)
    split("", labels)
    if (rest ~ /^\{/) {
        at = match(rest, /\} [^ ]+$/)
        if (!at || !read_labels(substr(rest, 2, at - 2))) { wrong("labels"); next }
        value = substr(rest, at + 2)
    } else {
        if (rest !~ /^ [^ ]+$/) { wrong("one blank, one value"); next }
        value = substr(rest, 2)
    }
    if (!number(value)) wrong("no number")
    if (type == "") wrong("a sample without HELP and TYPE")
    suffix = substr(name, length(family) + 1)
    if (substr(name, 1, length(family)) != family) wrong("a sample of another family")
    else if (type == "histogram" && suffix !~ /^_(bucket|sum|count)$/) wrong("no part of a histogram")
    else if (type == "summary" && suffix !~ /^(_sum|_count)?$/) wrong("no part of a summary")
    else if (type != "histogram" && type != "summary" && suffix != "") wrong("a sample of another family")
    if ((type == "counter" || suffix ~ /_(bucket|count)/) && value !~ /^[0-9]+$/) wrong("what counts is a whole number")
    key = substr($0, 1, length($0) - length(value))
    if (key in had) wrong("a sample that was there before")
    had[key]
    samples++
    if (type == "histogram" && suffix == "_bucket") {
        if (!("le" in labels)) wrong("a bucket without a bound")
        if (labels["le"] != "+Inf" && labels["le"] + 0 <= bound && last >= 0) wrong("bounds rise")
        if (value + 0 < last) wrong("buckets are cumulative")
        bound = labels["le"] + 0
        last = value + 0
        if (labels["le"] == "+Inf") all = value
    }
    if (type == "histogram" && suffix == "_count") {
        if (all != value) wrong("the count is that of the +Inf bucket")
        closed = 1
        all = ""
    }
}

END {
    end_of_family()
    if (!length(seen)) { print "no metric at all"; bad = 1 }
    exit bad
}
