# includes.awk - reads lines "path:line:#include ..." and prints those that point the wrong way.
#
# The table is that of the design: who may know whom. tests/ and bench/ may know everything.

function allow(room, rooms,    n, list, i) {
    n = split(rooms, list, " ")
    for (i = 1; i <= n; i++) may[room, list[i]] = 1
    known[room] = 1
}

# A foreign header has one home: only paths that match may include what matches.
function home(header, path) {
    homes++
    foreign[homes] = header
    place[homes] = path
}

function room_of(path) {
    if (path ~ /^pipeline\/[a-z_]+\//) {
        split(path, part, "/")
        return part[1] "/" part[2]
    }
    if (path ~ /^coordinator\/(core|web)\//) {
        split(path, part, "/")
        return part[1] "/" part[2]
    }
    sub(/\/.*/, "", path)
    return path
}

function complain(why) {
    print place_text ": " why
    bad++
}

BEGIN {
    FS = ":"
    tensor = "base pipeline/tensor"
    model = tensor " pipeline/model"
    method = model " pipeline/neurons pipeline/data pipeline/method"
    pipeline = method " pipeline/evaluate pipeline/exchange"
    allow("base", "base")
    allow("proto", "base proto")
    allow("pipeline/tensor", tensor)
    allow("pipeline/model", model)
    allow("pipeline/neurons", tensor " pipeline/neurons")      # and model/kv.h, see below
    allow("pipeline/data", "base pipeline/data")
    allow("pipeline/method", method)
    allow("pipeline/evaluate", method " pipeline/evaluate")
    allow("pipeline/exchange", model " pipeline/neurons pipeline/data pipeline/exchange")
    allow("coordinator/core", "base proto coordinator/core")
    allow("coordinator/web", "base proto coordinator/web")
    allow("coordinator", "base proto coordinator coordinator/core coordinator/web")
    allow("pipeline/forecast", pipeline " pipeline/forecast")
    allow("workers", pipeline " proto workers")
    allow("cli", pipeline " pipeline/forecast proto cli")

    home("^msgpack", "^proto/")
    home("^zmq", "^proto/")
    home("^sqlite3", "^coordinator/store/")
    home("^microhttpd", "^coordinator/web/serve\\.c$")
    home("^mpi\\.h", "^workers/comm_mpi\\.")
    home("^nccl", "^workers/comm_nccl\\.")
    home("^(cuda|cublas|cudnn|nv)", "^(pipeline/tensor/cuda/|workers/comm_nccl\\.)")
    home("^(cblas|openblas|immintrin)", "^pipeline/tensor/cpu/")
    home("^(png|jpeglib|yaml\\.h|webp/|libexif/)", "^pipeline/data/")
    home("^(pcre2|uni(case|norm|ctype|str|types|conv|name)\\.h)", "^pipeline/")
    home("^openssl/", "^base/")
    home("^curl/", "^cli/caption_endpoint\\.c$")
    # The core is pure: no clock, no disk, no socket, no thread.
    impure = "^(time|unistd|fcntl|pthread|signal|threads)\\.h|^sys/|^netinet/|^arpa/"
}

{
    path = $1
    place_text = $1 ":" $2
    line = $0
    sub(/^[^:]*:[^:]*:/, "", line)
    if (path ~ /^(tests|bench)\//) next
    if (line ~ /#[ \t]*include[ \t]*"/) {
        target = line
        sub(/^[^"]*"/, "", target)
        sub(/".*/, "", target)
        from = room_of(path)
        to = room_of(target)
        if (target ~ /\.\.\//) complain("includes are written from the root, never with ../: " target)
        else if (!(to in known)) complain("includes are written from the root: " target)
        else if (from == "pipeline/neurons" && target == "pipeline/model/kv.h") next
        else if (!((from, to) in may)) complain(from " may not know " to " (" target ")")
    } else if (line ~ /#[ \t]*include[ \t]*</) {
        target = line
        sub(/^[^<]*</, "", target)
        sub(/>.*/, "", target)
        if (room_of(path) == "coordinator/core" && target ~ impure) complain("the core is pure: <" target ">")
        for (i = 1; i <= homes; i++)
            if (target ~ foreign[i] && path !~ place[i]) complain("<" target "> is not at home here")
    }
}

END { exit bad > 0 }
