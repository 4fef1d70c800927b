#!/bin/sh
# Prints the Python to build with: $PYTHON when set, else the newest that lacks nothing. When none does,
# prints one line that says what to install (check_prerequisites.py) and fails.
here=$(dirname "$0")
reason=
reason_status=0
for python in ${PYTHON:-python3.13 python3.12 python3.11 python3}; do
    # A name may exist and still not run (pyenv's shims do that), so ask it something.
    "$python" -c "" >/dev/null 2>&1 || continue
    said=$("$python" "$here/check_prerequisites.py" 2>&1)
    status=$?
    if [ $status -eq 0 ]; then
        echo "$python"
        exit 0
    fi
    # A new enough Python that lacks something is a better thing to report than one that is too old.
    if [ -z "$reason" ] || { [ $reason_status -eq 2 ] && [ $status -ne 2 ]; }; then
        reason=$said
        reason_status=$status
    fi
done
if [ -z "$reason" ]; then
    reason="oadr2: no Python: ${PYTHON:-python3} does not run"
    reason="$reason (Debian 12 or later: apt install python3 python3-dev python3-venv gcc libc6-dev)"
fi
echo "$reason" >&2
exit 1
