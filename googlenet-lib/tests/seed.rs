//! One seed, one network. libtorch's generator belongs to the process, and tests of one file share a
//! process: this one is alone, so that no other draws in between.

use googlenet_lib::prelude::*;

#[test]
fn one_seed_gives_one_network() {
    let first_filters = |seed| {
        manual_seed(seed);
        let net = GoogLeNet::new(&spec::COMPACT, Device::Cpu).unwrap();
        net.variables().variables().remove("conv_1.weight").unwrap()
    };
    assert_eq!(first_filters(1), first_filters(1));
    assert_ne!(first_filters(1), first_filters(2));
}
