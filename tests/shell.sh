# tests/shell.sh - what the shell tests share: source it with $dir made.
bad=0

fail() { echo "FAIL: $*"; bad=1; }

told() { cut -c -2000 "$dir/err" "$dir/out"; }

# expect STATUS COMMAND...: what it says goes to $dir/out and $dir/err
expect() {
    want=$1
    shift
    "$@" >"$dir/out" 2>"$dir/err"
    got=$?
    [ $got = "$want" ] || { fail "$* gave $got, not $want"; told; }
}

# say PATTERN: the last command said it
say() { grep -q -e "$1" "$dir/out" "$dir/err" || { fail "\"$1\" was not said"; told; }; }
