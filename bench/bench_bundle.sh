#!/usr/bin/env bash
# Runs the tests of the library, its benchmark beside PyTorch and trainings, with the PyTorch of a
# Python that is here. Where it was cut it goes on.
set -euo pipefail

usage() {
    cat <<'END'
Usage: run [OPTION]... [PART]... [-- OPTION OF TRAINING...]

Parts; tests, bench and train if none is named:
  tests    the library's tests: OUT/tests/NAME.txt
  bench    training and evaluation beside PyTorch: OUT/train-DEVICE.md, .png and .json
  train    a training on CIFAR-10 for each --spec: OUT/SPEC/history.json, loss.png and more
  accuracy what about 20, 60 and 600 s of training on a GPU are meant to reach, on CIFAR-10: COMPACT with
           recipe fast, CIFAR with recipe fast, CIFAR with recipe long: OUT/accuracy-SECONDS/history.json,
           loss.png and more
  profile  the kernels of some training steps, by NVIDIA's ncu: OUT/profile-NETWORK-BATCH.csv

What is whole in OUT stays, and is said to be there: a test program that passed, a case of the benchmark, a
training. A training that was cut goes on from its last checkpoint, 30 s before or less: the same command begins
it and goes on with it.

Options:
  --device cpu|cuda  where to compute; cuda if there is a GPU, else cpu
  --out DIR          folder of the results; `results` beside this script
  --again            do anew what is whole in OUT
  --data DIR         folder of CIFAR-10's binary files; needed to train
  --spec NAME        network to train, may be repeated; compact and cifar if none is named
  --budget SECONDS   of accuracy the training of 20, 60 or 600 s alone, may be repeated
  --test NAME        of the tests this program alone (see bin/tests), may be repeated
  --case NETWORK:BATCH[:PHASE]  of the benchmark this case alone, may be repeated
  --without compiled the benchmark without torch.compile, which takes longest
  --minutes M        begin no case of the benchmark that would end after M minutes
  --rounds N         rounds of each case of the benchmark; 5 if it is not given
  --seconds S        least time of a round on our side; 2 if it is not given
  --mode MODE        torch.compile's in the benchmark; max-autotune on a GPU if it is not given
  --short            the short form of benchmark and trainings, whose figures mean nothing

PYTHON names the interpreter; python3 if it is not set. bin/train --help names the options of training.
END
}

fail() {
    echo "run: $*" >&2
    exit 2
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python=${PYTHON:-python3}
device='' out=$here/results data='' again='' parts=() specs=() budgets=() short=() training=() tests=()
bench=()
while (($#)); do
    case $1 in
    --help | -h)
        usage
        exit
        ;;
    --short)
        bench+=(--short)
        short=(--epochs 2 --batch 32 --train-images 128 --test-images 64)
        ;;
    --again)
        again=yes
        bench+=(--again)
        ;;
    --)
        training=("${@:2}")
        break
        ;;
    --device | --out | --data | --spec | --budget | --test | --case | --without | --minutes | --rounds | --seconds | --mode)
        (($# > 1)) || fail "$1 needs a value"
        case $1 in
        --device) device=$2 ;;
        --out) out=$2 ;;
        --data) data=$2 ;;
        --spec) specs+=("$2") ;;
        --budget)
            [[ $2 == 20 || $2 == 60 || $2 == 600 ]] || fail "--budget is $2: give 20, 60 or 600"
            budgets+=("$2")
            ;;
        --test) tests+=("$2") ;;
        *) bench+=("$1" "$2") ;;
        esac
        shift
        ;;
    tests | bench | train | accuracy | profile) parts+=("$1") ;;
    *) fail "$1 is no part and no option: see run --help" ;;
    esac
    shift
done
((${#parts[@]})) || parts=(tests bench train)
((${#specs[@]})) || specs=(compact cifar)
((${#budgets[@]})) || budgets=(20 60 600)
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
if [[ " ${parts[*]} " == *' train '* || " ${parts[*]} " == *' accuracy '* ]] && [[ -z $data ]]; then
    fail "to train, name the folder of CIFAR-10's binary files with --data"
fi
if [[ " ${parts[*]} " == *' bench '* ]]; then
    "$python" -c 'import psutil, safetensors' ||
        fail "the benchmark needs the Python packages psutil and safetensors"
fi
mkdir -p "$out"

# Whether this is there and stays: what bears its name is whole, for it was written beside its place.
whole() {
    if [[ -n $again ]]; then rm -f "$1"; fi
    [[ -e $1 ]] || return 1
    echo "-- $1 is there already: --again does it anew"
}

# A training with these options into the first of them, a folder. It knows itself what is there.
train_into() {
    if [[ -n $again ]]; then rm -rf "$1/checkpoints" "$1/model.safetensors"; fi
    "$here/bin/train" --go-on --out "$1" --data "$data" --device "$device" "${@:2}" "${short[@]}" \
        "${training[@]}" || status=1
}

status=0
for part in "${parts[@]}"; do
    echo "== $part on $device"
    case $part in
    tests)
        mkdir -p "$out/tests"
        for test in "${tests[@]}"; do
            said=$out/tests/$test.txt
            if whole "$said"; then continue; fi
            echo "-- $test"
            if (cd "$here" && "bin/tests/$test" --nocapture) 2>&1 | tee "$said.part"; then
                mv "$said.part" "$said"
            else
                # One that dies of a signal prints no result.
                echo "FAILED: $test, which said what is in $said.part"
                status=1
            fi
        done
        ;;
    bench)
        "$python" "$here/bench/bench_train.py" --device "$device" --ours "$here/bin/bench-train" \
            --go-on --out "$out" "${bench[@]}" || status=1
        ;;
    profile)
        for case in cifar:128 compact:512; do
            whole "$out/profile-${case/:/-}.csv" ||
                "$python" "$here/bench/bench_profile.py" --ours "$here/bin/bench-train" --out "$out" "$case" ||
                status=1
        done
        ;;
    train)
        for spec in "${specs[@]}"; do
            train_into "$out/$spec" --spec "$spec"
        done
        ;;
    accuracy)
        for budget in "${budgets[@]}"; do
            echo "-- accuracy in about $budget s on a GPU"
            case $budget in
            20) run=(--spec compact --recipe fast --epochs 20) ;;
            60) run=(--spec cifar --recipe fast --epochs 10) ;;
            600) run=(--spec cifar --recipe long) ;;
            esac
            train_into "$out/accuracy-$budget" "${run[@]}"
        done
        ;;
    esac
done
echo "== results are in $out"
exit $status
