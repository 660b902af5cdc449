//! The device itself: memory that the CPU cannot read, the results of the CPU's kernels, and a list of what
//! has waited.

use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use host_device::{register, take_waits};
use tch::{Device, Kind, Tensor};

/// One test at a time: the list is that of all threads.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    take_waits();
    alone
}

/// 0, 1, .. on the device.
fn numbers(size: &[i64]) -> Tensor {
    Tensor::arange(size.iter().product::<i64>(), (Kind::Float, register())).view(size)
}

fn values(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(tensor.to_device(Device::Cpu).contiguous().view([-1])).unwrap()
}

#[test]
fn views_share_their_memory_and_results_have_their_own() {
    let _alone = alone();
    let xs = numbers(&[2, 3]);
    let (mut column, sum) = (xs.transpose(0, 1).select(0, 1), &xs + 10.0);
    let _ = column.fill_(7.0);
    assert_eq!((xs.device(), sum.device()), (register(), register()));
    assert_eq!(values(&xs), [0.0, 7.0, 2.0, 3.0, 7.0, 5.0]);
    assert_eq!(values(&sum), [10.0, 11.0, 12.0, 13.0, 14.0, 15.0]);
    // What is given to be written to grows.
    let out = Tensor::empty([0], (Kind::Float, register()));
    let returned = xs.matmul_out(&out, &xs.transpose(0, 1));
    assert_eq!((returned.size(), values(&out)), (vec![2, 2], vec![53.0, 59.0, 59.0, 83.0]));
    let mut grown = numbers(&[2]);
    let _ = grown.resize_([4]).narrow(0, 2, 2).fill_(5.0);
    assert_eq!(values(&grown), [0.0, 1.0, 5.0, 5.0]);
}

#[test]
fn gradients_come_back_on_the_device() {
    let _alone = alone();
    let xs = numbers(&[4]).set_requires_grad(true);
    let branches = (&xs * 3.0).sum(Kind::Float) + xs.square().sum(Kind::Float);
    let gradient = Tensor::run_backward(&[branches], &[&xs], false, false).remove(0);
    assert!(take_waits().is_empty());
    assert_eq!(gradient.device(), register());
    assert_eq!(values(&gradient), [3.0, 5.0, 7.0, 9.0]);
}

#[test]
fn what_waits_for_the_device_is_written_down() {
    let _alone = alone();
    let xs = numbers(&[2, 3]);
    let index = Tensor::from_slice(&[1i64]).to_device(register());
    assert_eq!(take_waits(), ["copy to the device"]);

    xs.shallow_clone().copy_(&(xs.copy() * 2.0));
    let _ = (xs.index_select(0, &index), xs.index(&[Some(&index)]), xs.argmax(1, false));
    let _ = (xs.to_kind(Kind::Double), xs.contiguous(), xs.to_device(register()));
    assert_eq!(take_waits(), [""; 0]);

    let mask = xs.gt(2.0);
    let _ = (xs.max().double_value(&[]), xs.nonzero(), xs.masked_select(&mask));
    let _ = (xs.index(&[Some(&mask)]), xs.equal(&xs), xs.to_device(Device::Cpu));
    let _ = values(&xs);
    let expected = [
        "aten::_local_scalar_dense",
        "aten::nonzero",
        "aten::masked_select",
        "aten::nonzero",
        "aten::equal",
        "copy to the host",
        "copy to the host",
    ];
    assert_eq!(take_waits(), expected);
    assert_eq!(take_waits(), [""; 0]);
}

/// Set for the child process of the next test.
const CHILD: &str = "HOST_DEVICE_TEST_READS";

#[test]
fn who_reads_its_memory_as_if_it_were_the_cpus_ends_at_once() {
    let _alone = alone();
    if std::env::var_os(CHILD).is_some() {
        let xs = numbers(&[4]);
        // SAFETY: there is none: this is what must end the process.
        println!("read {}", unsafe { xs.data_ptr().cast::<f32>().read_volatile() });
        return;
    }
    let name = "who_reads_its_memory_as_if_it_were_the_cpus_ends_at_once";
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.code().is_none() && !said.contains("read "), "{:?}: {said}", child.status);
}
