#!/usr/bin/env bash
# Runs the tests of the library, its benchmark beside PyTorch and a training, with the PyTorch of a
# Python that is here.
set -euo pipefail

usage() {
    cat <<'END'
Usage: run [OPTION]... [PART]... [-- OPTION OF TRAINING...]

Parts, all but the last if none is named:
  tests    the library's tests: OUT/tests.txt
  bench    training and evaluation beside PyTorch: OUT/train-DEVICE.md, .png and .json
  train    a training on CIFAR-10 for each --spec: OUT/SPEC/history.json, loss.png and more
  profile  the kernels of some training steps, by NVIDIA's ncu: OUT/profile-NETWORK-BATCH.csv

Options:
  --device cpu|cuda  where to compute; cuda if there is a GPU, else cpu
  --out DIR          folder of the results; `results` beside this script
  --data DIR         folder of CIFAR-10's binary files; needed to train
  --spec NAME        network to train, may be repeated; compact and cifar if none is named
  --test NAME        of the tests this program alone (see bin/tests), may be repeated
  --case NETWORK:BATCH[:PHASE]  of the benchmark this case alone, may be repeated
  --without compiled the benchmark without torch.compile, which takes longest
  --minutes M        begin no case of the benchmark that would end after M minutes
  --rounds N         rounds of each case of the benchmark; 5 if it is not given
  --seconds S        least time of a round on our side; 2 if it is not given
  --mode MODE        torch.compile's in the benchmark; max-autotune on a GPU if it is not given
  --short            the short form of the benchmark, whose figures mean nothing

PYTHON names the interpreter; python3 if it is not set. bin/train --help names the options of training.
END
}

fail() {
    echo "run: $*" >&2
    exit 2
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python=${PYTHON:-python3}
device='' out=$here/results data='' parts=() specs=() training=() tests=() bench=()
while (($#)); do
    case $1 in
    --help | -h)
        usage
        exit
        ;;
    --short) bench+=(--short) ;;
    --)
        training=("${@:2}")
        break
        ;;
    --device | --out | --data | --spec | --test | --case | --without | --minutes | --rounds | --seconds | --mode)
        (($# > 1)) || fail "$1 needs a value"
        case $1 in
        --device) device=$2 ;;
        --out) out=$2 ;;
        --data) data=$2 ;;
        --spec) specs+=("$2") ;;
        --test) tests+=("$2") ;;
        *) bench+=("$1" "$2") ;;
        esac
        shift
        ;;
    tests | bench | train | profile) parts+=("$1") ;;
    *) fail "$1 is no part and no option: see run --help" ;;
    esac
    shift
done
((${#parts[@]})) || parts=(tests bench train)
((${#specs[@]})) || specs=(compact cifar)
if ((!${#tests[@]})); then
    for test in "$here"/bin/tests/*; do tests+=("${test##*/}"); done
fi
for test in "${tests[@]}"; do
    [[ -x $here/bin/tests/$test ]] || fail "there is no test program $test: see bin/tests"
done

found=$("$python" -c 'import torch; print(torch.__path__[0], torch.__version__, torch.cuda.is_available())') ||
    fail "$python has no PyTorch: set PYTHON to an interpreter that has TORCH_VERSION"
read -r torch version gpu <<<"$found"
[[ $version == TORCH_VERSION || $version == TORCH_VERSION+* ]] ||
    fail "$python has PyTorch $version, and the programs are made for TORCH_VERSION"
export LD_LIBRARY_PATH=$torch/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
[[ -n $device ]] || { [[ $gpu == True ]] && device=cuda || device=cpu; }
case $device in
cpu) ;;
cuda) [[ $gpu == True ]] || fail "PyTorch finds no GPU: use --device cpu" ;;
*) fail "$device is no device: cpu or cuda" ;;
esac
if [[ " ${parts[*]} " == *' profile '* ]]; then
    [[ $device == cuda ]] || fail "kernels are profiled on a GPU alone"
    command -v ncu >/dev/null || fail "to profile, put NVIDIA's ncu on the PATH"
fi
if [[ " ${parts[*]} " == *' train '* && -z $data ]]; then
    fail "to train, name the folder of CIFAR-10's binary files with --data"
fi
if [[ " ${parts[*]} " == *' bench '* ]]; then
    "$python" -c 'import psutil, safetensors' ||
        fail "the benchmark needs the Python packages psutil and safetensors"
fi
mkdir -p "$out"

status=0
for part in "${parts[@]}"; do
    echo "== $part on $device"
    case $part in
    tests)
        for test in "${tests[@]}"; do
            echo "-- $test"
            # One that dies of a signal prints no result.
            (cd "$here" && "bin/tests/$test" --nocapture) || echo "FAILED: $test"
        done 2>&1 | tee "$out/tests.txt"
        if grep -q '^FAILED: ' "$out/tests.txt"; then status=1; fi
        ;;
    bench)
        "$python" "$here/bench/bench_train.py" --device "$device" --ours "$here/bin/bench-train" \
            --out "$out" "${bench[@]}" || status=1
        ;;
    profile)
        "$python" "$here/bench/bench_profile.py" --ours "$here/bin/bench-train" --out "$out" \
            cifar:128 compact:512 || status=1
        ;;
    train)
        for spec in "${specs[@]}"; do
            "$here/bin/train" --data "$data" --spec "$spec" --out "$out/$spec" \
                --device "$device" "${training[@]}" || status=1
        done
        ;;
    esac
done
echo "== results are in $out"
exit $status
