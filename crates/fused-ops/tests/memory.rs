//! In a program of its own: what is kept is the whole process's.

use fused_ops::KeptMemory;
use tch::{Device, Kind, Tensor};

const NUMBERS: i64 = 3 << 20;
const BYTES: usize = 4 * NUMBERS as usize;

fn tensor(numbers: i64) -> Tensor {
    Tensor::ones([numbers], (Kind::Float, Device::Cpu))
}

#[test]
// One test: others at the same time would keep memory, too.
fn memory_is_kept_for_tensors_of_about_the_same_size_and_then_given_back() {
    let kept = KeptMemory::new().unwrap();
    let first = tensor(NUMBERS);
    let place = first.data_ptr();
    drop(first);
    let second = tensor(NUMBERS - 1000);
    assert_eq!(second.data_ptr(), place);
    assert_eq!(second.double_value(&[NUMBERS - 1001]), 1.0);
    drop(second);
    // One that is much smaller leaves it to others.
    let small = tensor(NUMBERS / 2);
    assert_ne!(small.data_ptr(), place);
    // What was used since the last call stays, what was not goes.
    assert_eq!(kept.free_old(), 0);
    let bytes = kept.free_old();
    assert!((BYTES..BYTES * 9 / 8).contains(&bytes), "{bytes}");
    // What one keeps does not end with another.
    drop(tensor(NUMBERS));
    drop(KeptMemory::new().unwrap());
    kept.free_old();
    assert!(kept.free_old() >= BYTES);
    // A tensor outlives it, and grows.
    drop(tensor(NUMBERS));
    drop(kept);
    let mut grown = small.resize([NUMBERS]);
    let _ = grown.fill_(2.0);
    assert_eq!(grown.double_value(&[NUMBERS - 1]), 2.0);
    drop((small, grown, tensor(NUMBERS)));
    let kept = KeptMemory::new().unwrap();
    assert_eq!(kept.free_old() + kept.free_old(), 0);

    // What there is no room for is an error, and nothing else.
    let error = Tensor::f_zeros([1 << 50], (Kind::Float, Device::Cpu)).unwrap_err().to_string();
    assert!(error.contains("allocate memory"), "{error}");
    assert_eq!(tensor(NUMBERS).double_value(&[7]), 1.0);
}
