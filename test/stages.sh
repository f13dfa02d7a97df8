# What `./dev test`, `./dev check` and `./dev fmt` do. Sourced by ./dev, whose functions it uses.

# Most of a test's time is waiting: four at once keep two cores busy. Each has services of its own.
run_ctest() { # FOLDER LABELS
    (cd "$1" && ctest --output-on-failure -j4 -L "$2") | tee "$1/ctest.log" || return 1
}

run_pytest() { # FOLDER PYTEST-ARGUMENTS...
    local folder=$1
    shift
    STANDPIPE_BUILD=$folder "$PYTHON" -m pytest -n 4 "$@" "$ROOT/test/e2e" | tee "$folder/pytest.log" || return 1
}

# They read pages, rules and files, or ask a browser, Prometheus and the oracle, and run no C that others do not: once is enough.
without_c() {
    local name
    for name in documentation contract prometheus_rules shipped_files dashboard grafana migration oracle; do
        printf -- '--ignore=%s\n' "$ROOT/test/e2e/test_$name.py"
    done
}

test_all() {
    local what=all folder="$ROOT/build/test" options=(-DSTANDPIPE_SANITIZE=OFF) packages=(build run test) status=0 ran=() skipped=() argument
    for argument in "$@"; do
        case $argument in
        unit | flow | e2e | all) what=$argument ;;
        --sanitize)
            folder="$ROOT/build/sanitize" options=(-DSTANDPIPE_SANITIZE=ON) packages+=(fuzz)
            [ -d "$folder" ] || options+=(-DCMAKE_C_COMPILER=clang) # it looks for more than gcc does
            mapfile -t skipped < <(without_c)
            ;;
        --threads) folder="$ROOT/build/threads" options=(-DSTANDPIPE_TSAN=ON) ;;
        *) DIE_STATUS=2 die "test: $argument: expected unit, flow, e2e, all, --sanitize or --threads" ;;
        esac
    done
    install_packages "${packages[@]}"
    configure RelWithDebInfo "$folder" "${options[@]}" -DSTANDPIPE_TESTS=ON
    build "$folder"
    case $what in
    all) run_ctest "$folder" 'unit|flow' || status=1; ran+=(ctest) ;;
    unit | flow) run_ctest "$folder" "$what" || status=1; ran+=(ctest) ;;
    esac
    case $what in
    all | e2e) run_pytest "$folder" "${skipped[@]}" || status=1; ran+=(pytest) ;;
    esac
    for argument in "${ran[@]}"; do
        case $argument in
        ctest) grep -h 'tests passed\|tests failed\|No tests' "$folder/ctest.log" | sed 's/^/dev: ctest: /' || true ;;
        pytest) tail -n 1 "$folder/pytest.log" | sed 's/^/dev: pytest: /' ;;
        esac
    done
    return "$status"
}

c_files() { # all, or those that differ from HEAD
    if [ "${1:-}" = --changed ]; then
        { git -C "$ROOT" diff --name-only --diff-filter=d HEAD -- '*.[ch]' && git -C "$ROOT" ls-files -o --exclude-standard -- '*.[ch]'; } | sort -u
    else
        git -C "$ROOT" ls-files -co --exclude-standard -- '*.[ch]'
    fi
}

# What looks at the program as a whole, and at what has changed since it looked last.
check_whole() {
    mkdir -p "$ROOT/build/test/cppcheck"
    cppcheck --project="$ROOT/build/test/compile_commands.json" --file-filter="$ROOT/src/*" --cppcheck-build-dir="$ROOT/build/test/cppcheck" \
        --enable=warning,performance,portability --inline-suppr --suppress=missingIncludeSystem --error-exitcode=1 --quiet -j2
}

check() {
    local status=0 files file
    install_packages build test check
    configure RelWithDebInfo "$ROOT/build/test" -DSTANDPIPE_SANITIZE=OFF -DSTANDPIPE_TESTS=ON
    build "$ROOT/build/test" # some sources are made
    cd "$ROOT"
    mapfile -t files < <(c_files "${1:-}")
    if [ "${#files[@]}" -gt 0 ]; then
        clang-format --dry-run -Werror "${files[@]}" || status=1
        # Only what is compiled here: hiredis' TLS part, for one, is not on Debian 12.
        for file in "${files[@]}"; do
            ! grep -qF "\"$ROOT/$file\"" "$ROOT/build/test/compile_commands.json" || printf '%s\n' "$file"
        done |
            xargs -r -P2 -n1 clang-tidy -p "$ROOT/build/test" --quiet 2>/dev/null || status=1
    fi
    check_whole || status=1
    "$ROOT/test/layers/check" || status=1
    [ "$status" -ne 0 ] || say "check: nothing to say about ${#files[@]} files"
    return "$status"
}

format() {
    install_packages check
    cd "$ROOT"
    c_files | xargs -r clang-format -i
}
