# The private Redis and PostgreSQL of `./dev run`, under .standpipe/ and on unix sockets only.
# Sourced; needs ROOT, STATE (.standpipe), `die` and `say`. Both run in sessions of their own, so that Ctrl-C stops
# standpipe first and them last. What a crashed run left running is used again.

SOCKET_MAX=100 # the kernel allows 107 bytes

# A short folder for a socket, the same at every start: $1 is wanted, $2 is the file's name, $3 who owns it.
socket_folder() {
    local wanted=$1 name=$2 remembered="$STATE/${3}.socket-folder"
    if [ $((${#wanted} + 1 + ${#name})) -gt "$SOCKET_MAX" ]; then
        wanted=$(cat "$remembered" 2>/dev/null || true)
        case $(stat -c %U "$wanted" 2>/dev/null) in
        "$(id -un)" | "${POSTGRES_USER:-root}") ;; # ours still, and nobody else's by the same name
        *) wanted="" ;;
        esac
        if [ -z "$wanted" ]; then
            wanted=$(mktemp -d "/tmp/standpipe-$3.XXXXXX")
            printf %s "$wanted" >"$remembered"
        fi
    fi
    mkdir -p "$wanted"
    printf %s "$wanted"
}

redis_up() {
    redis-cli -s "$REDIS_SOCKET" ping >/dev/null 2>&1
}

start_redis() {
    mkdir -p "$STATE/redis"
    REDIS_SOCKET=$(socket_folder "$STATE/redis" redis.sock redis)/redis.sock
    if ! redis_up; then
        redis-server --daemonize yes --port 0 --unixsocket "$REDIS_SOCKET" --unixsocketperm 700 \
            --dir "$STATE/redis" --pidfile "$STATE/redis/redis.pid" --logfile "$STATE/redis/redis.log" \
            --maxmemory-policy noeviction --appendonly yes --appendfsync everysec --save "" 9>&- >/dev/null ||
            die "Redis does not start: see .standpipe/redis/redis.log"
        local tries=0
        until redis_up; do # a long append-only file takes its time to load
            tries=$((tries + 1))
            [ "$tries" -lt 600 ] || die "Redis does not answer: see .standpipe/redis/redis.log"
            sleep 0.1
        done
    fi
    REDIS_STARTED=1
}

stop_redis() {
    [ -n "${REDIS_STARTED:-}" ] || return 0
    redis-cli -s "$REDIS_SOCKET" shutdown >/dev/null 2>&1 || true
    REDIS_STARTED=""
}

postgres_bin() {
    { ls -d /usr/lib/postgresql/*/bin 2>/dev/null || true; } | sort -t/ -k5 -n | tail -n 1
}

# PostgreSQL refuses to run as root.
as_postgres() {
    if [ "$(id -u)" -ne 0 ]; then
        "$@"
    else
        (cd / && exec setpriv --reuid="$POSTGRES_USER" --regid="$(id -g "$POSTGRES_USER")" --init-groups -- "$@")
    fi
}

# .standpipe/postgres, or a folder that PostgreSQL's user can reach; what was chosen once stays.
choose_postgres_home() {
    POSTGRES_USER=$(id -un)
    if [ "$(id -u)" -eq 0 ]; then
        POSTGRES_USER=nobody
        ! id -u postgres >/dev/null 2>&1 || POSTGRES_USER=postgres
    fi
    POSTGRES_HOME=$(cat "$STATE/postgres.home" 2>/dev/null || true)
    if [ -z "$POSTGRES_HOME" ] || [ ! -d "$POSTGRES_HOME" ]; then
        POSTGRES_HOME="$STATE/postgres"
        if ! as_postgres test -x "$STATE"; then
            POSTGRES_HOME=$(mktemp -d /var/lib/standpipe-dev.XXXXXX)
            say "$POSTGRES_USER cannot reach $STATE: PostgreSQL's data is in $POSTGRES_HOME"
        fi
        mkdir -p "$POSTGRES_HOME"
        printf %s "$POSTGRES_HOME" >"$STATE/postgres.home"
    fi
    [ "$(id -u)" -ne 0 ] || chown "$POSTGRES_USER" "$POSTGRES_HOME"
    chmod 700 "$POSTGRES_HOME"
}

postgres_control() {
    as_postgres "$POSTGRES_BIN/pg_ctl" -D "$POSTGRES_HOME/data" -s "$@"
}

start_postgres() {
    POSTGRES_BIN=$(postgres_bin)
    [ -n "$POSTGRES_BIN" ] || die "PostgreSQL's programs are not under /usr/lib/postgresql: install postgresql"
    choose_postgres_home
    if [ ! -e "$POSTGRES_HOME/data/PG_VERSION" ]; then
        rm -rf "$POSTGRES_HOME/data.new" # a crash in initdb leaves no half a cluster
        as_postgres "$POSTGRES_BIN/initdb" -D "$POSTGRES_HOME/data.new" -U standpipe --auth-local=trust \
            --auth-host=reject -E UTF8 --locale=C.UTF-8 >"$STATE/initdb.log" 2>&1 ||
            die "initdb failed: see .standpipe/initdb.log"
        mv "$POSTGRES_HOME/data.new" "$POSTGRES_HOME/data"
    fi
    POSTGRES_SOCKETS=$(socket_folder "$POSTGRES_HOME" .s.PGSQL.5432.lock postgres)
    [ "$(id -u)" -ne 0 ] || chown "$POSTGRES_USER" "$POSTGRES_SOCKETS"
    if ! postgres_control status >/dev/null 2>&1; then
        postgres_control -w -t 120 -l "$POSTGRES_HOME/postgres.log" \
            -o "-c listen_addresses='' -c unix_socket_directories='$POSTGRES_SOCKETS' -c port=5432 -c shared_buffers=256MB -c max_wal_size=2GB" \
            start 9>&- >/dev/null 2>&1 || die "PostgreSQL does not start: see $POSTGRES_HOME/postgres.log"
    fi
    POSTGRES_STARTED=1
    local query=(psql -h "$POSTGRES_SOCKETS" -p 5432 -U standpipe -d postgres -XAtqc)
    [ "$("${query[@]}" "SELECT 1 FROM pg_database WHERE datname = 'standpipe'")" = 1 ] ||
        "${query[@]}" "CREATE DATABASE standpipe" || die "the database standpipe could not be made"
}

stop_postgres() {
    [ -n "${POSTGRES_STARTED:-}" ] || return 0
    postgres_control -w -t 60 -m fast stop >/dev/null 2>&1 || true
    POSTGRES_STARTED=""
}

# What a crashed run left running, before its data goes.
stop_leftovers() {
    if [ -e "$STATE/redis/redis.pid" ]; then
        REDIS_SOCKET=$(socket_folder "$STATE/redis" redis.sock redis)/redis.sock REDIS_STARTED=1
        stop_redis
    fi
    POSTGRES_BIN=$(postgres_bin)
    if [ -n "$POSTGRES_BIN" ] && [ -e "$STATE/postgres.home" ]; then
        choose_postgres_home
        POSTGRES_STARTED=1
        stop_postgres
    fi
}
