# Shell functions of tests/run: the stages, and the counting of what passed.
# Expects $root (the repository) and $CARGO_TARGET_DIR.

. "$root/deploy/lib.sh"

cache=/var/cache/cooperage-tests
test_user=cooperage-test
single_id_user=cooperage-single
state=$(mktemp -d /tmp/cooperage-tests.XXXXXX)
chmod 755 "$state"
passed=0
failed=0
failures=()
timings=()

compiler=(gcc libc6-dev make pkg-config)
packages=(
    "${compiler[@]}" g++ git curl ca-certificates python3 jq zstd openssl procps
    postgresql-15 uidmap mmdebstrap debian-archive-keyring squashfs-tools squashfuse fuse3
    docker-registry busybox-static libcap2-bin e2fsprogs dnf rpm createrepo-c zypper
    pacman-package-manager makepkg libarchive-tools skopeo chromium chromium-driver
    python3-venv
)
schemathesis=4.32.5

# ------------------------------------------------------------------ stages

# Runs one stage; a stage that ends badly without having counted a failure counts as one.
stage() {
    local name=$1 start=$SECONDS failed_before=$failed
    shift
    say "$name"
    if ! "$@" && [ "$failed" -eq "$failed_before" ]; then
        fail "stage: $name"
    fi
    timings+=("$(printf '%5d s  %s' $((SECONDS - start)) "$name")")
}

fail() {
    failed=$((failed + 1))
    failures+=("$1")
}

# Runs a check that passes or fails as a whole.
check() {
    local name=$1
    shift
    if "$@"; then passed=$((passed + 1)); else fail "$name"; fi
}

check_formatting() {
    check 'cargo fmt' cargo fmt --all --check
    check 'cargo fmt of the fuzz targets' cargo fmt --manifest-path image/fuzz/Cargo.toml --check
}

check_lints() {
    check 'cargo clippy' cargo clippy --quiet --workspace --all-targets --locked -- -D warnings
}

prepare_machine() {
    install_packages "${packages[@]}"
    id "$test_user" >/dev/null 2>&1 || useradd --create-home --shell /bin/sh "$test_user"
    id "$single_id_user" >/dev/null 2>&1 || useradd --create-home --shell /bin/sh "$single_id_user"
    give_subordinate_ids "$test_user"
    sed -i "/^$single_id_user:/d" /etc/subuid /etc/subgid
    export COOPERAGE_TEST_USER=$test_user COOPERAGE_TEST_SINGLE_ID_USER=$single_id_user
}

# ------------------------------------------------------------------ unit tests

postgres_bin=/usr/lib/postgresql/15/bin

# A private server for #[sqlx::test], reachable over a socket only; what it holds may be lost.
start_postgres() {
    install -d -o "$test_user" "$state/postgres"
    as_user "$test_user" "$postgres_bin/initdb" --pgdata="$state/postgres/data" --auth=trust \
        --encoding=UTF8 --locale=C --no-sync >"$state/initdb.log" || return 1
    # a plain command and no function, so that $! is the server and not a shell around it
    setpriv --reuid="$test_user" --regid="$test_user" --init-groups \
        "$postgres_bin/postgres" -D "$state/postgres/data" \
        -c listen_addresses= -c unix_socket_directories="$state/postgres" -c max_connections=300 \
        -c fsync=off -c full_page_writes=off -c synchronous_commit=off \
        >"$state/postgres.log" 2>&1 &
    postgres=$!
    wait_for 'postgres' "$postgres_bin/pg_isready" --quiet --host="$state/postgres" ||
        { cat "$state/postgres.log" >&2; return 1; }
    export DATABASE_URL="postgres:///postgres?host=$state/postgres&user=$test_user"
}

run_unit_tests() { run_cargo_tests --workspace; }

# ------------------------------------------------------------------ fuzz targets

# Searches for input that the engine cannot take, with libFuzzer and stable Rust: so many seconds for
# all targets together. What is compiled with instrumentation has a target folder of its own.
run_fuzz_targets() {
    local seconds=${1:-60} targets=(definition ext3 sif squashfs) target
    local programs=$CARGO_TARGET_DIR/fuzz/$(rustc --print host-tuple)/release
    (cd "$root/image/fuzz" && cargo build --quiet --release --target-dir "$CARGO_TARGET_DIR/fuzz") ||
        return 1
    for target in "${targets[@]}"; do
        check "fuzz target $target" fuzz "$programs" "$target" $((seconds / ${#targets[@]} + 1))
    done
}

# Runs one target from its seeds, which stay as they are. An input that is found is kept and printed.
fuzz() {
    local programs=$1 target=$2 seconds=$3 fuzz=$root/image/fuzz options=()
    local found=$programs/found/$target input
    rm -rf "$found"
    install -d "$state/fuzz/$target" "$found"
    [ ! -e "$fuzz/$target.dict" ] || options+=(-dict="$fuzz/$target.dict")
    if "$programs/$target" -max_total_time="$seconds" -timeout=30 -rss_limit_mb=2048 \
        -artifact_prefix="$found/" "${options[@]}" "$state/fuzz/$target" "$fuzz/corpus/$target" \
        >"$state/fuzz/$target.log" 2>&1; then
        grep -a '^Done ' "$state/fuzz/$target.log"
        return
    fi
    grep -av '^#' "$state/fuzz/$target.log" | tail -60
    for input in "$found"/*; do
        [ ! -e "$input" ] || { printf '%s\n' "$input"; gzip -9c "$input" | base64; }
    done
    return 1
}

# ------------------------------------------------------------------ stories

prepare_world() {
    # the same packages and targets as the tests, so that nothing is compiled twice
    cargo build --quiet --locked --workspace --all-targets || return 1
    install -D -m 755 "$CARGO_TARGET_DIR/debug/cooperage" "$state/bin/cooperage" || return 1
    export COOPERAGE_BIN=$state/bin/cooperage
    "$root/tests/tools/apptainer" --install || return 1
    install_schemathesis || return 1
    "$root/tests/tools/debian-tree" "$cache/debian-bookworm.tar" || return 1
    install_oidc_provider || return 1
    "$root/tests/tools/base-images" "$state/registries" "$cache/debian-bookworm.tar" \
        >"$state/base-images.log" 2>&1 &
    registries=$!
    wait_for 'the registries' test -e "$state/registries/registries.env" ||
        { cat "$state/base-images.log" >&2; return 1; }
    set -a
    . "$state/registries/registries.env"
    set +a
}

# The provider of OpenID Connect that stories sign in with. Node.js may be there from elsewhere, whose
# packages conflict with those of Debian.
install_oidc_provider() {
    local version=8.8.1 folder
    folder=$cache/oidc-provider-$version
    command -v npm >/dev/null || install_packages nodejs npm
    if [ ! -e "$folder/complete" ]; then
        npm install --silent --no-audit --no-fund --no-save --ignore-scripts --prefix "$folder" \
            "oidc-provider@$version" || return 1
        touch "$folder/complete"
    fi
    export COOPERAGE_TEST_OIDC_PROVIDER=$folder
}

# It is no package of Debian: its folder is made anew unless the right version of it runs.
install_schemathesis() {
    local folder=$cache/schemathesis
    export COOPERAGE_TEST_SCHEMATHESIS=$folder/bin/schemathesis
    "$COOPERAGE_TEST_SCHEMATHESIS" --version 2>/dev/null | grep -qwF "$schemathesis" && return
    rm -rf "$folder"
    /usr/bin/python3 -m venv "$folder" &&
        "$folder/bin/pip" install --quiet --disable-pip-version-check "schemathesis==$schemathesis"
}

# Stories share one machine of two cores and start everything themselves: one at a time.
run_stories() {
    local name stories=()
    for name in "$@"; do stories+=(--test "$name"); done
    [ ${#stories[@]} -gt 0 ] || stories=(--tests)
    # nextest can compile what is compiled already and still run the stories alone
    if has_nextest; then
        run_cargo_tests --workspace -E 'package(cooperage-tests)' "${stories[@]}" --only-ignored
    else
        run_cargo_tests --package cooperage-tests "${stories[@]}" --only-ignored
    fi
}

# ------------------------------------------------------------------ cargo

has_nextest() { cargo nextest --version >/dev/null 2>&1; }

# Runs tests by nextest where it is installed and by cargo where it is not, and counts them.
run_cargo_tests() {
    local argument ignored= arguments=() log=$state/cargo-test.log
    for argument in "$@"; do
        if [ "$argument" = --only-ignored ]; then ignored=1; else arguments+=("$argument"); fi
    done
    if has_nextest; then
        cargo nextest run --locked --no-fail-fast --no-tests=pass "${arguments[@]}" \
            ${ignored:+--run-ignored=only --test-threads=1} 2>&1 | tee "$log" || true
        count_nextest "$log"
    else
        cargo test --locked --no-fail-fast "${arguments[@]}" \
            -- ${ignored:+--ignored --test-threads=1} 2>&1 | tee "$log" || true
        count_cargo "$log"
    fi
    keep_reasons "$log"
}

# What the tests that failed said first, to be repeated where a long output ends.
keep_reasons() {
    grep -E -A 8 "^ *thread '.*' .*panicked at|^ *Error: " "$1" | cut -c 1-400 | head -n 60 \
        >> "$state/reasons" || true
}

# Sums up nextest's `Summary [...] N tests run: N passed, N failed, N skipped`.
count_nextest() {
    local summary name word
    summary=$(grep -E '^ *Summary \[' "$1") || { fail 'the tests did not compile or run'; return 0; }
    passed=$((passed + $(number_before passed <<<"$summary")))
    # what timed out or could not start is neither passed nor failed in its words, but it is to us
    for word in failed 'timed out' 'exec failed'; do
        failed=$((failed + $(number_before "$word" <<<"$summary")))
    done
    while read -r name; do failures+=("$name"); done < <(
        sed -nE 's/^ *(FAIL|TIMEOUT|SIGABRT|SIGSEGV|SIGKILL) \[[^]]*\] *(\([^)]*\) *)?//p' "$1" | sort -u
    )
}

number_before() { grep -oE "[0-9]+ $1" | grep -oE '^[0-9]+' || echo 0; }

# Sums up cargo's `test result: ok. N passed; N failed; …`, one line for each program.
count_cargo() {
    local name
    grep -q '^test result: ' "$1" || { fail 'the tests did not compile or run'; return 0; }
    passed=$((passed + $(awk '/^test result: /{n += $4} END {print n + 0}' "$1")))
    failed=$((failed + $(awk '/^test result: /{n += $6} END {print n + 0}' "$1")))
    while read -r name; do failures+=("$name"); done < <(
        sed -nE 's/^test (.*) \.\.\. FAILED$/\1/p' "$1"
    )
    if grep -qE '^error(\[|:)' "$1" && ! grep -q '^test .* FAILED$' "$1"; then
        fail 'cargo ended with an error; it is above'
    fi
}

# ------------------------------------------------------------------ ends

# Waits at most two minutes until a command succeeds.
wait_for() {
    local what=$1
    shift
    for _ in $(seq 600); do
        if "$@"; then return 0; fi
        sleep 0.2
    done
    say "waited two minutes for $what"
    return 1
}

end_everything() {
    allow_service_starts
    for process in "${postgres:-}" "${registries:-}"; do
        [ -z "$process" ] || ! kill "$process" 2>/dev/null || wait "$process" || true
    done
    rm -rf "$state"
}

report() {
    printf '\n'
    [ "$failed" -eq 0 ] || cat "$state/reasons" 2>/dev/null || true
    printf '%s\n' "${timings[@]}"
    for name in ${failures[@]+"${failures[@]}"}; do printf 'FAILED  %s\n' "$name"; done
    printf '%d passed, %d failed\n' "$passed" "$failed"
    [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}
