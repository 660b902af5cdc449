#!/bin/sh
# Cargo calls this in the place of rustc for the crates of this repository. In a clone that is not set up
# it ends any build at once, with one line that says what to do: without it, crates are compiled for
# minutes until torch-sys fails in the midst of a C++ compiler's messages. `cargo xtask` sets LAB_SETUP.
if [ -n "${LAB_SETUP:-}" ] || [ -d "${LIBTORCH:-}/lib" ]; then
    exec "$@"
fi
# Cargo remembers what a compiler has said, its errors too, as long as the compiler has the same time.
touch "$0" 2>/dev/null
echo "error: the lab is not set up, ${LIBTORCH:-libtorch} is missing: run cargo xtask setup" >&2
exit 1
